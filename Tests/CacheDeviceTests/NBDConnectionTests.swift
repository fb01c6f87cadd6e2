import CacheClient
import NIOCore
import TestSupport
import Testing

@testable import CacheDevice

/// The states of a connection without a socket: what comes in pieces, cut off, changed or at random.
@Suite struct NBDConnectionTests {
    private static let size: UInt64 = 16 << 20

    /// Drives a connection over a device of zeros and counts, which is never late.
    private struct Driver {
        var connection: NBDConnection
        var output = ByteBuffer()
        var isClosed = false
        var mostInFlight = 0
        /// Reads that are not answered yet, if they are held.
        var held: [NBDPiece] = []
        var holdsReads = false
        /// What was written and not taken by the client.
        var untaken: [Int] = []
        var takes = true

        init(limits: NBDLimits = NBDLimits()) {
            struct Zeros: BlockDevice {
                let byteCount = NBDConnectionTests.size
                func cached(at: UInt64, count: Int, reach: DeviceReach) throws -> [ByteBuffer]? { nil }
                func read(at: UInt64, count: Int) async throws -> [ByteBuffer] { [] }
                func extent(at offset: UInt64) -> DeviceExtent {
                    // Stretches of 1 MiB, every other one of them zeros.
                    DeviceExtent(count: 1 << 20 - offset % (1 << 20), isZero: offset >> 20 & 1 == 1)
                }
            }
            connection = NBDConnection(export: NBDExport(name: "x", device: Zeros()), limits: limits)
            carryOut(connection.opened())
        }

        mutating func receive(_ bytes: some Collection<UInt8>) {
            connection.received(ByteBuffer(bytes: bytes))
            run()
        }

        mutating func run() { while let action = connection.next() { carryOut(action) } }

        mutating func answer(_ piece: NBDPiece, _ isGood: Bool = true) {
            let data = ByteBuffer(repeating: UInt8(truncatingIfNeeded: piece.offset >> 12), count: piece.count)
            connection.completed(piece, isGood ? .success([data]) : .failure(.io))
            run()
        }

        mutating func takeAll() {
            while let cost = untaken.popLast() {
                connection.taken(cost)
                run()
            }
        }

        private mutating func carryOut(_ action: NBDConnection.Action) {
            mostInFlight = max(mostInFlight, connection.inFlight)
            switch action {
            case .write(let reply, let cost):
                output.writeImmutableBuffer(reply.head)
                for data in reply.data { output.writeImmutableBuffer(data) }
                if takes { connection.taken(cost) } else { untaken.append(cost) }
            case .read(let piece):
                if holdsReads { return held.append(piece) }
                let data = ByteBuffer(repeating: UInt8(truncatingIfNeeded: piece.offset >> 12), count: piece.count)
                connection.completed(piece, .success([data]))
            case .close: isClosed = true
            }
        }
    }

    /// A whole conversation of a decent client.
    private static func conversation() -> [UInt8] {
        func option(_ number: UInt32, _ data: ByteBuffer = ByteBuffer()) -> ByteBuffer {
            var buffer = ByteBuffer(string: "IHAVEOPT")
            buffer.writeMultipleIntegers(number, UInt32(data.readableBytes))
            buffer.writeImmutableBuffer(data)
            return buffer
        }
        var all = ByteBuffer(integer: UInt32(3))
        all.writeImmutableBuffer(option(8))
        var context = NBDClient.named("x")
        context.writeInteger(UInt32(1))
        context.writeImmutableBuffer(NBDClient.named("base:allocation"))
        all.writeImmutableBuffer(option(10, context))
        var go = NBDClient.named("x")
        go.writeMultipleIntegers(UInt16(1), UInt16(3))
        all.writeImmutableBuffer(option(7, go))
        for request in [
            NBDClient.request(0, cookie: 1, offset: 5, length: 3 << 20),
            NBDClient.request(0, flags: 4, cookie: 2, offset: 1 << 20, length: 8192),
            NBDClient.request(7, cookie: 3, offset: 0, length: 16 << 20),
            NBDClient.request(1, cookie: 4, offset: 0, length: 100), ByteBuffer(repeating: 0x25, count: 100),
            NBDClient.request(5, cookie: 5, offset: 0, length: 8 << 20), NBDClient.request(3, cookie: 6),
            NBDClient.request(2, cookie: 7),
        ] { all.writeImmutableBuffer(request) }
        return Array(all.readableBytesView)
    }

    @Test("it does not matter how the client's bytes are cut")
    func cuts() {
        let bytes = Self.conversation()
        var whole = Driver()
        whole.receive(bytes)
        #expect(whole.isClosed)
        #expect(whole.output.readableBytes > 3 << 20 - 1 << 20)
        #expect(whole.connection.inFlight == 0)
        for length in [1, 2, 3, 7, 27, 28, 29, 100] {
            var driver = Driver()
            for start in stride(from: 0, to: bytes.count, by: length) {
                driver.receive(bytes[start..<min(start + length, bytes.count)])
            }
            #expect(driver.output == whole.output, "cut every \(length) bytes")
            #expect(driver.isClosed)
        }
    }

    @Test("a conversation that is cut off anywhere leaves nothing in flight")
    func truncated() {
        let bytes = Self.conversation()
        for length in bytes.indices {
            var driver = Driver()
            driver.receive(bytes[..<length])
            #expect(!driver.isClosed, "after \(length) bytes")
            #expect(driver.connection.inFlight == 0)
            driver.connection.stop()
            driver.run()
            #expect(driver.isClosed, "stopped after \(length) bytes")
        }
    }

    @Test("changed and random bytes end in answers or an end, and hold no more than the bound")
    func fuzz() {
        let good = Self.conversation()
        var generator = SeededGenerator()
        for round in 0..<800 {
            var bytes = good
            if round % 3 == 0 {
                let start = Int.random(in: 0..<good.count, using: &generator)
                bytes = Array(good[..<start]) + generator.bytes(Int.random(in: 0...300, using: &generator))
            } else {
                for _ in 0..<Int.random(in: 1...6, using: &generator) {
                    let place = Int.random(in: 0..<bytes.count, using: &generator)
                    bytes[place] =
                        [0, 0xFF, 1, bytes[place] ^ 1 << UInt8.random(in: 0..<8, using: &generator)]
                        .randomElement(using: &generator) ?? 0
                }
            }
            var limits = NBDLimits()
            limits.bytesInFlight = 2 << 20
            limits.requestBytes = 4 << 20
            var driver = Driver(limits: limits)
            driver.holdsReads = Bool.random(using: &generator)
            driver.takes = Bool.random(using: &generator)
            driver.receive(bytes)
            var turns = 0
            while !driver.held.isEmpty || !driver.untaken.isEmpty {
                if let piece = driver.held.popLast() {
                    driver.answer(piece, Bool.random(using: &generator))
                }
                driver.takeAll()
                turns += 1
                #expect(turns < 10_000, "round \(round), seed \(generator.seed)")
                if turns >= 10_000 { return }
            }
            // What a connection held that has ended is nobody's any more.
            #expect(driver.isClosed || driver.connection.inFlight == 0, "round \(round), seed \(generator.seed)")
            // A request that is larger than the bound is alone.
            #expect(driver.mostInFlight <= (4 << 20) + NBDConnection.negotiationBytes, "seed \(generator.seed)")
            driver.connection.stop()
            driver.run()
            #expect(driver.isClosed, "round \(round), seed \(generator.seed)")
        }
    }

    @Test("a client that takes no answer is not heard any more")
    func flood() {
        var driver = Driver()
        driver.takes = false
        driver.receive(Self.conversation().prefix(4))
        // LIST, again and again.
        var list = ByteBuffer(string: "IHAVEOPT")
        list.writeMultipleIntegers(UInt32(3), UInt32(0))
        var limits = NBDLimits()
        limits.options = 1_000_000
        driver = Driver(limits: limits)
        driver.takes = false
        driver.receive([0, 0, 0, 3])
        var count = 0
        while driver.connection.wantsInput, count < 1_000_000 {
            driver.receive(list.readableBytesView)
            count += 1
        }
        #expect(!driver.connection.wantsInput)
        #expect(driver.connection.inFlight < 2 * NBDConnection.negotiationBytes)
        driver.takeAll()
        #expect(driver.connection.wantsInput)
        // More options than a client may send end the connection.
        driver = Driver()
        driver.receive([0, 0, 0, 3])
        for _ in 0...NBDLimits().options { driver.receive(list.readableBytesView) }
        #expect(driver.isClosed)
    }

    @Test("requests wait unread while as many as may be are open")
    func requestsInFlight() {
        var limits = NBDLimits()
        limits.requestsInFlight = 4
        var driver = Driver(limits: limits)
        driver.holdsReads = true
        let start = Self.conversation().count - 28 * 7 - 100
        driver.receive(Self.conversation()[..<start])
        for cookie in 0..<10 as Range<UInt64> {
            driver.receive(NBDClient.request(0, cookie: cookie, offset: cookie << 12, length: 4096).readableBytesView)
        }
        #expect(driver.held.count == 4)
        #expect(!driver.connection.wantsInput)
        driver.answer(driver.held.removeFirst())
        #expect(driver.held.count == 4)
        while let piece = driver.held.popLast() { driver.answer(piece) }
        #expect(driver.connection.wantsInput)
        #expect(driver.connection.inFlight == 0)
    }
}
