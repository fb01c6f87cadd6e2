import CacheCore
import NIOCore
import NIOHTTP1
import TestSupport

@testable import CacheServer

/// Clients, their connections' state machines and one in-flight budget: what handlers and groups do with sockets, done
/// with values.
///
/// It notes what must never happen as it goes, with the step at which it did.
struct ConnectionSimulation {
    struct Connection {
        var machine: ConnectionStateMachine
        /// What the client will send next, the first part last.
        var script: [HTTPServerRequestPart] = []
        var isOpen = true
        /// The daemon has closed it, and the channel has not said so yet.
        var isClosing = false
        /// The end of the output is on its way.
        var endsOutput = false
        /// A request has begun and has no response.
        var isOwedAResponse = false
        var isWorking = false
        var responses = 0
    }

    private(set) var connections: [Connection] = []
    private(set) var violations: [String] = []
    private(set) var responses = 0
    private(set) var grants = 0
    private(set) var fills: UInt64 = 0
    var queue = AdmissionQueue(InFlightBudget(bytes: 1_500_000, requests: 6, largest: 600_000))
    var random: SeededGenerator
    var now = NIODeadline.uptimeNanoseconds(1 << 40)
    private var lines: [[Int]] = [[], [], []]
    private let limits: ServerLimits

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        var limits = ServerLimits()
        limits.pipelinedParts = 12
        limits.chunkBytes = 500_000
        self.limits = limits
    }

    private mutating func expect(_ condition: Bool, _ what: String, _ number: Int) {
        if !condition { violations.append("\(what): connection \(number), \(connections[number].machine.phase)") }
    }

    // MARK: What happens

    /// One random event.
    mutating func step() {
        let open = connections.indices.filter { connections[$0].isOpen }
        guard open.count >= 8, let number = open.randomElement(using: &random) else {
            connections.append(Connection(machine: ConnectionStateMachine(limits: limits)))
            let outcome: ConnectionAdmission.Outcome = chance(10) ? .probeOnly : .served
            return run(connections.count - 1) { $0.accepted(outcome, at: $1) }
        }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<62: send(number)
        case 62..<76: progress(number)
        case 76..<80: fill(number)
        case 80..<86: pass(.milliseconds(.random(in: 0...1_500, using: &random)))
        case 86..<90: partialHead(number)
        case 90: run(number) { machine, _ in machine.inputEnded() }
        case 91: vanish(number)
        case 92:
            if connections[number].machine.parserFailed(.badRequest("malformed")) { run(number) { _, _ in nil } }
        case 93, 94: run(number) { machine, _ in machine.failed() }
        case 95 where connections[number].machine.phase == .idle: run(number) { machine, _ in machine.cut() }
        default: work()
        }
    }

    /// Ends all that is under way without new requests, and lets all time pass.
    mutating func settle() {
        for number in connections.indices where connections[number].isOpen {
            run(number) { machine, _ in machine.stop() }
        }
        for _ in 0..<40 {
            for number in connections.indices { progress(number) }
            while connections.contains(where: \.isWorking) { work() }
            pass(.seconds(1))
        }
    }

    /// The client sends the next part of its requests, if the socket would be read.
    private mutating func send(_ number: Int) {
        if connections[number].script.isEmpty {
            connections[number].script = Array(request().reversed())
            if chance(20) { connections[number].script = Array(request().reversed()) + connections[number].script }
        }
        guard connections[number].machine.mayRead() || chance(15) else { return }
        let part = connections[number].script.removeLast()
        run(number) { $0.received(part, at: $1) }
        run(number) { $0.readCompleted(at: $1) }
    }

    private mutating func request() -> [HTTPServerRequestPart] {
        let chunk = "/v1/chunks/\(TestChunk(ByteBuffer(string: "x")).id.hex)"
        func head(_ method: HTTPMethod, _ path: String, _ more: [(String, String)] = []) -> HTTPServerRequestPart {
            .head(
                HTTPRequestHead(
                    version: .http1_1, method: method, uri: path, headers: HTTPHeaders([("Host", "x")] + more)))
        }
        func put(_ length: Int, declared: Bool) -> [HTTPServerRequestPart] {
            let framing = declared ? ("Content-Length", "\(length)") : ("Transfer-Encoding", "chunked")
            let pieces = [length / 2, length - length / 2].map { ByteBuffer(repeating: 1, count: $0) }
            return [head(.PUT, chunk, [framing])] + pieces.map { .body($0) } + [.end(nil)]
        }
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<2: return [head(.GET, chunk), .end(nil)]
        case 2..<4: return [head(.GET, chunk, [("Prefer", "wait=20")]), .end(nil)]
        case 4: return [head(.HEAD, chunk), .end(nil)]
        case 5: return put(.random(in: 1...400_000, using: &random), declared: true)
        case 6: return put(.random(in: 1...700_000, using: &random), declared: false)
        case 7: return put(800_000, declared: true)
        case 8: return [head(.GET, "/healthz"), .end(nil)]
        default: return [head(.GET, "/v1/chunks/x", [("Connection", "close")]), .end(nil)]
        }
    }

    private mutating func partialHead(_ number: Int) {
        guard connections[number].script.isEmpty else { return }
        connections[number].machine.bytesArrived()
        run(number) { $0.readCompleted(at: $1) }
    }

    /// The channel does what it still has to do for a connection.
    private mutating func progress(_ number: Int) {
        if connections[number].endsOutput {
            connections[number].endsOutput = false
            let succeeds = chance(90)
            run(number) { $0.outputEnded(succeeded: succeeds, at: $1) }
        }
        if connections[number].isClosing { return vanish(number) }
        run(number) { $0.becameWritable(at: $1) }
    }

    /// A thread is done with what it worked on.
    private mutating func work() {
        let busy = connections.indices.filter { connections[$0].isWorking }
        guard let number = busy.randomElement(using: &random) else { return }
        connections[number].isWorking = false
        guard connections[number].machine.awaitsAnswer else {
            let reservation = connections[number].machine.takeReservation()
            expect(reservation != nil, "work without a part of the budget", number)
            if let reservation { release(reservation) }
            return
        }
        if let end = connections[number].machine.lineEnd(at: now) { return standInLine(number, until: end) }
        if let surplus = connections[number].machine.shrinkReservation(to: .random(in: 0...600_000, using: &random)) {
            queue.shrink(surplus.purpose, by: surplus.bytes)
            grant()
        }
        carryOut(respond(number, chance(10) ? .internalServerError : .ok, closing: false), number)
    }

    /// The chunk is missed, and the request waits for it: it has nothing of the budget meanwhile.
    private mutating func standInLine(_ number: Int, until end: NIODeadline) {
        fills += 1
        connections[number].machine.stoodInLine(fills, until: end)
        if let reservation = connections[number].machine.takeReservation() { release(reservation) }
        expect(connections[number].machine.isInLine(fills), "not in line", number)
    }

    /// A chunk has come, or a lease has passed on, for one that stands in line.
    private mutating func fill(_ number: Int) {
        let machine = connections[number].machine
        guard let place = machine.request?.placeInLine, machine.isInLine(place) else { return }
        if chance(50) { return run(number) { $0.lookAgain(at: $1) } }
        connections[number].machine.waitEnded(at: now)
        carryOut(respond(number, .notFound, closing: false), number)
    }

    private mutating func pass(_ time: TimeAmount) {
        now = now + time
        for number in connections.indices
        where connections[number].isOpen && connections[number].machine.deadline <= now {
            run(number) { machine, _ in machine.expire(force: false) }
        }
    }

    private mutating func vanish(_ number: Int) {
        guard connections[number].isOpen else { return }
        connections[number].isOpen = false
        let cleanup = connections[number].machine.closed()
        expect(cleanup.isQueued == lines.contains { $0.contains(number) }, "in line, or not", number)
        if cleanup.isQueued { leaveQueue(number) }
        if let reservation = cleanup.reservation { release(reservation) }
    }

    // MARK: What is done about it

    private mutating func run(
        _ number: Int,
        _ event: (inout ConnectionStateMachine, NIODeadline) -> ConnectionStateMachine.Action?
    ) {
        carryOut(event(&connections[number].machine, now), number)
    }

    private mutating func carryOut(_ first: ConnectionStateMachine.Action?, _ number: Int) {
        var action = first ?? connections[number].machine.next(at: now)
        while let current = action {
            action = follow(current, number) ?? connections[number].machine.next(at: now)
        }
    }

    private mutating func follow(
        _ action: ConnectionStateMachine.Action, _ number: Int
    ) -> ConnectionStateMachine.Action? {
        switch action {
        case .beginRequest:
            expect(!connections[number].isOwedAResponse, "a request within a request", number)
            expect(!connections[number].isClosing, "begun on a connection that ends", number)
            connections[number].isOwedAResponse = true
        case .reserveBody(let bytes):
            return reserve(bytes, number) ? connections[number].machine.expectBody(at: now) : nil
        case .perform(let operation):
            return perform(operation, number)
        case .refuse(let refusal, let closing, let leavesQueue):
            if leavesQueue { leaveQueue(number) }
            return respond(number, refusal.status, closing: closing)
        case .leaveLine:
            connections[number].machine.waitEnded(at: now)
            return respond(number, .notFound, closing: false)
        case .endOutput:
            connections[number].endsOutput = true
        case .finish(let request, let next, _):
            if let reservation = request?.reservation { release(reservation) }
            if next == .close { connections[number].isClosing = true }
        case .close, .cut:
            connections[number].isClosing = true
            if chance(50) { vanish(number) }
        case .noteIncompleteHead, .sendContinue, .countBody, .read: break
        }
        return nil
    }

    private mutating func perform(
        _ operation: RequestPlan.Operation, _ number: Int
    ) -> ConnectionStateMachine.Action? {
        switch operation {
        case .refuse(let refusal): return respond(number, refusal.status, closing: false)
        case .page: return respond(number, .ok, closing: false)
        case .get where chance(50):
            guard reserve(.random(in: 0...limits.chunkBytes, using: &random), number) else { return nil }
            return respond(number, .ok, closing: false)
        case .get: guard reserve(600_000, number) else { return nil }
        case .head, .missing, .damaged, .giveUp, .checkLease: guard reserve(0, number) else { return nil }
        case .put: break
        case .control:
            queue.reserveUnconditionally()
            connections[number].machine.reserved(.init(bytes: 0, purpose: .response))
        }
        connections[number].machine.workStarted()
        connections[number].isWorking = true
        return nil
    }

    private mutating func reserve(_ bytes: Int, _ number: Int) -> Bool {
        guard let purpose = connections[number].machine.missingReservation else { return true }
        let wanted = InFlightBudget.Reservation(bytes: bytes, purpose: purpose)
        if queue.reserve(wanted) {
            expect(lines[purpose.rawValue].isEmpty, "others waited before", number)
            connections[number].machine.reserved(wanted)
            return true
        }
        queue.enqueue(.init(connection: ConnectionID(number: number), wanted: wanted))
        lines[purpose.rawValue].append(number)
        connections[number].machine.queued(at: now)
        return false
    }

    private mutating func respond(
        _ number: Int, _ status: HTTPResponseStatus, closing: Bool
    ) -> ConnectionStateMachine.Action? {
        expect(connections[number].isOpen && !connections[number].isClosing, "an answer after the end", number)
        expect(!connections[number].endsOutput, "an answer after the last one", number)
        // What is no request (half of a head, no HTTP, a silent probe) is answered, too, and ends the connection.
        expect(connections[number].isOwedAResponse || closing, "two answers to one request", number)
        connections[number].isOwedAResponse = false
        connections[number].responses += 1
        responses += 1
        let framing = connections[number].machine.respond(status, closing: closing)
        if chance(2) { vanish(number) }
        return connections[number].machine.written(framing, isTaken: chance(70), at: now)
    }

    private mutating func release(_ reservation: InFlightBudget.Reservation) {
        queue.release(reservation)
        grant()
    }

    private mutating func leaveQueue(_ number: Int) {
        for line in lines.indices { lines[line].removeAll { $0 == number } }
        queue.withdraw(ConnectionID(number: number))
        grant()
    }

    private mutating func grant() {
        while let waiter = queue.admitNext() {
            let number = waiter.connection.number
            grants += 1
            expect(lines[waiter.wanted.purpose.rawValue].first == number, "out of turn", number)
            lines[waiter.wanted.purpose.rawValue].removeAll { $0 == number }
            run(number) { $0.granted(waiter.wanted, at: $1) }
        }
    }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
}
