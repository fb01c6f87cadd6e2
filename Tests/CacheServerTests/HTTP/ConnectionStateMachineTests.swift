import CacheCore
import NIOCore
import NIOHTTP1
import Testing

@testable import CacheServer

/// What a connection decides, event by event, without a socket.
struct ConnectionStateMachineTests {
    private let start = NIODeadline.uptimeNanoseconds(1 << 40)
    private let path = "/v1/chunks/\(TestChunk(seed: 1).id.hex)"

    private func head(
        _ method: HTTPMethod, length: Int? = nil, _ more: [(String, String)] = []
    ) -> HTTPServerRequestPart {
        var headers = HTTPHeaders([("Host", "x")] + more)
        if let length { headers.add(name: "Content-Length", value: "\(length)") }
        return .head(HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: headers))
    }

    private func served(_ limits: ServerLimits = ServerLimits()) -> ConnectionStateMachine {
        var machine = ConnectionStateMachine(limits: limits)
        #expect(machine.accepted(.served, at: start) == nil)
        return machine
    }

    /// A connection whose GET is complete and has its reservation.
    private func asked(_ limits: ServerLimits = ServerLimits()) -> ConnectionStateMachine {
        var machine = served(limits)
        #expect(machine.received(head(.GET), at: start)?.name == "beginRequest")
        #expect(machine.next(at: start) == nil)
        #expect(machine.received(.end(nil), at: start)?.name == "perform")
        machine.reserved(.init(bytes: 100, purpose: .response))
        return machine
    }

    @Test func requestIsAnsweredAndTheConnectionIdle() {
        var machine = asked()
        let framing = machine.respond(.ok, closing: false)
        #expect(framing.keepsAlive)
        #expect(framing.sendsContent)
        #expect(framing.connection == nil)
        guard
            case .finish(let request?, .keepAlive, _) = machine.written(
                framing, isTaken: true, at: start + .seconds(1))
        else {
            Issue.record("the response does not end the request")
            return
        }
        #expect(request.reservation?.bytes == 100)
        #expect(request.started == start)
        #expect(machine.phase == .idle)
        #expect(machine.deadline == start + .seconds(61))
        #expect(machine.next(at: start) == nil)
        #expect(machine.takeReservation() == nil)
    }

    @Test func nextRequestWaitsUntilTheResponseIsTaken() {
        var machine = asked()
        machine.workStarted()
        #expect(machine.received(head(.GET), at: start) == nil)
        #expect(machine.mayRead() == false)
        let framing = machine.respond(.ok, closing: false)
        #expect(machine.written(framing, isTaken: false, at: start) == nil)
        #expect(machine.phase == .flushing)
        #expect(machine.next(at: start) == nil)
        #expect(machine.becameWritable(at: start)?.name == "finish")
        #expect(machine.next(at: start)?.name == "beginRequest")
        // Once more the socket is read for the rest of it.
        #expect(machine.next(at: start)?.name == "read")
        #expect(machine.mayRead() == true)
    }

    @Test func tooMuchSentAheadIsRefusedAfterTheAnswers() {
        var limits = ServerLimits()
        limits.pipelinedParts = 1
        var machine = asked(limits)
        machine.workStarted()
        for part in [head(.GET), .end(nil), head(.GET)] { #expect(machine.received(part, at: start) == nil) }
        let framing = machine.respond(.ok, closing: false)
        #expect(machine.written(framing, isTaken: true, at: start)?.name == "finish")
        #expect(machine.next(at: start)?.name == "beginRequest")
        guard case .refuse(let refusal, closing: true, _) = machine.next(at: start) else {
            Issue.record("the flood is not refused")
            return
        }
        #expect(refusal.status == .tooManyRequests)
    }

    @Test func bodyIsWelcomedOnceItsBytesAreReserved() {
        var machine = served()
        #expect(
            machine.received(head(.PUT, length: 10, [("Expect", "100-continue")]), at: start)?.name == "beginRequest")
        guard case .reserveBody(bytes: 10) = machine.next(at: start) else {
            Issue.record("nothing is reserved for the body")
            return
        }
        machine.queued(at: start)
        #expect(machine.deadline == start + .seconds(2))
        #expect(machine.mayRead() == false)
        let later = start + .seconds(1)
        let wanted = InFlightBudget.Reservation(bytes: 10, purpose: .requestBody)
        #expect(machine.granted(wanted, at: later)?.name == "sendContinue")
        #expect(machine.deadline == start + .seconds(15))
        let bytes = ByteBuffer(string: "0123456789")
        guard case .countBody(bytes: 10) = machine.received(.body(bytes), at: later) else {
            Issue.record("the body is not taken")
            return
        }
        #expect(machine.received(.end(nil), at: later)?.name == "perform")
        #expect(machine.takeBody() == bytes)
        #expect(machine.body.readableBytes == 0)
    }

    @Test func bodyThatIsTooLongIsCountedAndRefused() {
        var limits = ServerLimits()
        limits.chunkBytes = 4
        var machine = served(limits)
        #expect(machine.received(head(.PUT, [("Transfer-Encoding", "chunked")]), at: start)?.name == "beginRequest")
        #expect(machine.next(at: start)?.name == "reserveBody")
        machine.reserved(.init(bytes: 4, purpose: .requestBody))
        #expect(machine.expectBody(at: start) == nil)
        #expect(machine.received(.body(ByteBuffer(string: "12345")), at: start)?.name == "countBody")
        guard case .refuse(let refusal, closing: true, leavesQueue: false) = machine.next(at: start) else {
            Issue.record("the body is not refused")
            return
        }
        #expect(refusal.status == .payloadTooLarge)
        let framing = machine.respond(refusal.status, closing: true)
        #expect(machine.written(framing, isTaken: true, at: start)?.name == "endOutput")
        #expect(machine.received(.body(ByteBuffer(string: "6")), at: start) == nil)
        #expect(machine.phase == .closing)
    }

    @Test func timeThatIsOverMeansWhatThePhaseSays() {
        var silent = served()
        #expect(silent.expire(force: false)?.name == "cut")

        var slow = served()
        slow.bytesArrived()
        #expect(slow.readCompleted(at: start)?.name == "noteIncompleteHead")
        #expect(slow.deadline == start + .seconds(15))
        guard case .refuse(let late, closing: true, leavesQueue: false) = slow.expire(force: false) else {
            Issue.record("a slow head is not told")
            return
        }
        #expect(late.status == .requestTimeout)

        var waiting = asked()
        waiting.queued(at: start)
        guard case .refuse(let busy, closing: false, leavesQueue: true) = waiting.expire(force: false) else {
            Issue.record("a long wait is not told")
            return
        }
        #expect(busy.status == .serviceUnavailable)
        #expect(busy.shed == .inFlight)

        var working = asked()
        working.workStarted()
        #expect(working.expire(force: false)?.name == "cut")
    }

    @Test func workForAClientThatIsGoneKeepsItsReservation() {
        var machine = asked()
        machine.workStarted()
        let cleanup = machine.closed()
        #expect(cleanup.reservation == nil)
        #expect(!cleanup.hasVanished)
        #expect(!cleanup.isQueued)
        #expect(!machine.awaitsAnswer)
        #expect(machine.takeReservation()?.bytes == 100)
        #expect(machine.takeReservation() == nil)
    }

    @Test func turnOfAConnectionThatEndsBeginsNothing() {
        var machine = asked()
        #expect(machine.takeReservation()?.bytes == 100)
        machine.queued(at: start)
        #expect(machine.failed()?.name == "close")
        #expect(machine.granted(.init(bytes: 7, purpose: .response), at: start) == nil)
        #expect(machine.next(at: start) == nil)
        #expect(machine.closed().reservation?.bytes == 7)
    }

    @Test func clientThatIsGoneReturnsWhatItHas() {
        var sending = served()
        #expect(sending.received(head(.PUT, length: 10), at: start)?.name == "beginRequest")
        #expect(sending.next(at: start)?.name == "reserveBody")
        sending.reserved(.init(bytes: 10, purpose: .requestBody))
        let cleanup = sending.closed()
        #expect(cleanup.hasVanished)
        #expect(cleanup.reservation?.bytes == 10)

        var waiting = asked()
        _ = waiting.takeReservation()
        waiting.queued(at: start)
        #expect(waiting.closed().isQueued)

        // One that the daemon has ended has not vanished.
        var cut = served()
        cut.bytesArrived()
        #expect(cut.readCompleted(at: start)?.name == "noteIncompleteHead")
        #expect(cut.cut()?.name == "cut")
        #expect(!cut.closed().hasVanished)
    }

    @Test func lastResponseIsFollowedByTheEndAndALinger() {
        var machine = asked()
        #expect(machine.stop() == nil)
        let framing = machine.respond(.ok, closing: false)
        #expect(!framing.keepsAlive)
        #expect(framing.connection?.description == "close")
        #expect(machine.written(framing, isTaken: false, at: start)?.name == "endOutput")
        guard case .finish(let request?, .linger, _) = machine.outputEnded(succeeded: true, at: start) else {
            Issue.record("the connection does not linger")
            return
        }
        #expect(request.reservation?.bytes == 100)
        #expect(machine.phase == .lingering)
        #expect(machine.deadline == start + .seconds(2))
        #expect(machine.received(head(.GET), at: start) == nil)
        #expect(machine.inputEnded()?.name == "close")
    }

    @Test func probeIsAnsweredAboutTheDaemonAlone() {
        var machine = ConnectionStateMachine(limits: ServerLimits())
        #expect(machine.accepted(.probeOnly, at: start) == nil)
        #expect(machine.deadline == start + .seconds(2))
        #expect(machine.received(head(.GET), at: start)?.name == "beginRequest")
        guard case .refuse(let refusal, closing: true, _) = machine.next(at: start) else {
            Issue.record("a chunk is served beyond the limit")
            return
        }
        #expect(refusal.status == .serviceUnavailable)
    }

    @Test func nothingIsBegunOnceTheConnectionEnds() {
        var stopped = served()
        #expect(stopped.stop()?.name == "cut")
        #expect(stopped.received(head(.GET), at: start) == nil)
        #expect(stopped.next(at: start) == nil)

        var halfClosed = served()
        #expect(halfClosed.inputEnded()?.name == "close")
        #expect(halfClosed.next(at: start) == nil)
    }
}

extension ConnectionStateMachine.Action {
    /// The name of the case.
    var name: String {
        switch self {
        case .beginRequest: "beginRequest"
        case .noteIncompleteHead: "noteIncompleteHead"
        case .reserveBody: "reserveBody"
        case .sendContinue: "sendContinue"
        case .countBody: "countBody"
        case .perform: "perform"
        case .refuse: "refuse"
        case .leaveLine: "leaveLine"
        case .endOutput: "endOutput"
        case .finish: "finish"
        case .read: "read"
        case .close: "close"
        case .cut: "cut"
        }
    }
}
