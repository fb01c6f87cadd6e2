import CacheCore
import Foundation
import Glibc

/// How a chunk lies on the daemons, and is asked for.
enum StripeMode: String, CaseIterable {
    case whole = "whole"
    case striped = "4 of 5"
    /// The last: it moves chunks from one daemon to another.
    case hedged = "whole + hedge"
}

/// The chunks of a run, whole and in pieces, and where they are.
struct StripedSet: Sendable {
    let nodes: [(host: String, port: Int)]
    let whole: Bodies
    let striped: [StripedBody]

    /// The daemons of a chunk in order: as many chunks begin with each, and each other comes second as often.
    func first(_ chunk: Int) -> Int { chunk % nodes.count }
    func second(_ chunk: Int) -> Int {
        (chunk + 1 + (chunk / nodes.count) % (nodes.count - 1)) % nodes.count
    }
    func node(_ chunk: Int, piece: Int) -> Int { (chunk + piece) % nodes.count }

    /// Puts all chunks where they are looked for.
    func fill() throws {
        let connections = try nodes.map { try Connection(host: $0.host, port: $0.port) }
        for chunk in whole.names.indices {
            try connections[first(chunk)].put(whole.names[chunk], whole.bodies[chunk])
            for (piece, (name, body)) in zip(striped[chunk].names, striped[chunk].bodies).enumerated() {
                try connections[node(chunk, piece: piece)].put(name, body)
            }
        }
    }
}

extension Connection {
    func put(_ name: String, _ body: Data) throws {
        try send("PUT /v1/chunks/\(name) HTTP/1.1\r\nHost: bench\r\nContent-Length: \(body.count)\r\n\r\n")
        try body.withUnsafeBytes { try send($0) }
        let answer = try answer(upTo: "\r\n\r\n")
        guard answer.hasPrefix("HTTP/1.1 20") else { throw BenchError("PUT was answered \(answer.prefix(12))") }
    }
}

/// Reads chunks one after the other, in one thread, with a connection to each daemon: the transport is the same
/// whatever the mode, and a daemon that owes an answer is not asked again until it has come.
final class StripeReader {
    /// After so long L3 is asked, where a chunk has nowhere else to come from.
    private static let patience = 0.05
    private static let hedgeShare = 0.05
    private static let reconnection = 1.0
    /// A daemon that was late time after time is left out for so long; the rule is the product's.
    private static let rest = 5.0
    private static let mostLate = 5.0

    private let set: StripedSet
    private let mode: StripeMode
    private let distance: Double
    private var connections: [RawConnection?]
    private var lastTry: [Double]
    private let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 512 << 10, alignment: 64)
    private var recent: [Double] = []
    private var hedgeDelay = Double.infinity
    private var allowance = 0.0
    private var lateness: [Double]
    private var outUntil: [Double]
    private(set) var reads = (total: 0, fromL3: 0, hedged: 0, wrong: 0)
    private var bytesOfEnded = 0

    /// - Parameter distance: seconds that L3 takes.
    init(_ set: StripedSet, _ mode: StripeMode, distance: Double) {
        self.set = set
        self.mode = mode
        self.distance = distance
        connections = set.nodes.map { RawConnection(host: $0.host, port: $0.port) }
        lastTry = set.nodes.map { _ in 0 }
        lateness = lastTry
        outUntil = lastTry
    }

    deinit { output.deallocate() }

    /// That came over the network.
    var bytes: Int { connections.reduce(bytesOfEnded) { $0 + ($1?.bytes ?? 0) } }

    func read(_ chunk: Int) {
        reads.total += 1
        let began = Self.now()
        let body: UnsafeRawBufferPointer?
        switch mode {
        case .striped: body = readPieces(chunk)
        case .whole, .hedged: body = readWhole(chunk, isHedged: mode == .hedged)
        }
        guard let body else { return readL3(chunk) }
        if mode == .hedged { note(Self.now() - began) }
        if ChunkID(ofSealed: body).hex != set.whole.names[chunk] { reads.wrong += 1 }
    }

    private func readL3(_ chunk: Int) {
        reads.fromL3 += 1
        usleep(UInt32(distance * 1e6))
        guard mode == .hedged else { return }
        // The next daemon is filled, as the product does, beside the readers.
        let node = set.nodes[set.second(chunk)]
        let (name, body) = (set.whole.names[chunk], set.whole.bodies[chunk])
        Thread.detachNewThread { try? Connection(host: node.host, port: node.port).put(name, body) }
    }

    // MARK: Whole chunks

    private func readWhole(_ chunk: Int, isHedged: Bool) -> UnsafeRawBufferPointer? {
        let began = Self.now()
        let name = set.whole.names[chunk]
        let first = set.first(chunk)
        var asked = [first].filter { (!isHedged || outUntil[$0] < began) && ask($0, name) }
        allowance = min(allowance + Self.hedgeShare, 10)
        var mayHedge = isHedged
        if asked.isEmpty {
            guard isHedged, ask(set.second(chunk), name) else { return nil }
            asked = [set.second(chunk)]
            mayHedge = false
        }
        while !asked.isEmpty {
            let passed = Self.now() - began
            guard passed < Self.patience else {
                if isHedged, asked.contains(first) { judge(first, passed, isAnswer: false) }
                return nil
            }
            if mayHedge, passed >= hedgeDelay {
                mayHedge = false
                if allowance >= 1, ask(set.second(chunk), name) {
                    allowance -= 1
                    reads.hedged += 1
                    asked.append(set.second(chunk))
                }
            }
            waitFor(asked, atMost: mayHedge ? min(Self.patience, hedgeDelay) - passed : Self.patience - passed)
            for node in asked {
                switch receive(node) {
                case .answered(200, let body):
                    if isHedged, asked.contains(first) { judge(first, Self.now() - began, isAnswer: node == first) }
                    return body
                case .answered, .broken: asked.removeAll { $0 == node }
                case .waiting: break
                }
            }
        }
        return nil
    }

    /// The 95th percentile of the latest answers of all daemons.
    private func note(_ seconds: Double) {
        recent.append(seconds)
        guard recent.count % 16 == 0, recent.count >= 32 else { return }
        if recent.count > 256 { recent.removeFirst(recent.count - 256) }
        hedgeDelay = max(recent.percentile(0.95), 0.001)
    }

    private func judge(_ node: Int, _ seconds: Double, isAnswer: Bool) {
        let bound = 2 * hedgeDelay + 0.005
        if seconds > bound {
            lateness[node] += min(seconds / bound, 2)
        } else if isAnswer {
            lateness[node] = max(lateness[node] - 0.125, 0)
        }
        guard lateness[node] >= Self.mostLate else { return }
        lateness[node] = 0
        outUntil[node] = Self.now() + Self.rest
    }

    // MARK: Stripes

    private func readPieces(_ chunk: Int) -> UnsafeRawBufferPointer? {
        let began = Self.now()
        let names = set.striped[chunk].names
        var pieces = [UnsafeRawBufferPointer?](repeating: nil, count: StripedBody.pieces)
        var asked: [Int: Int] = [:]
        var came = 0
        while came < StripedBody.dataPieces {
            let passed = Self.now() - began
            guard passed < Self.patience else { return nil }
            for piece in pieces.indices where pieces[piece] == nil && asked[piece] == nil {
                let node = set.node(chunk, piece: piece)
                if ask(node, names[piece]) { asked[piece] = node }
            }
            // Who owes an answer to an earlier read is waited for, too: two daemons may be late at once.
            let late = Set(pieces.indices.map { set.node(chunk, piece: $0) }).filter { connections[$0]?.owes == true }
            guard !late.isEmpty else { return nil }
            waitFor(Array(late), atMost: Self.patience - passed)
            for (piece, node) in asked {
                switch receive(node) {
                case .answered(200, let body):
                    asked[piece] = nil
                    pieces[piece] = body
                    came += 1
                case .answered, .broken: return nil
                case .waiting: break
                }
                if came == StripedBody.dataPieces { break }
            }
        }
        StripedBody.join(pieces, into: output)
        return UnsafeRawBufferPointer(output)
    }

    // MARK: Connections

    /// False where the daemon cannot be asked now.
    private func ask(_ node: Int, _ name: String) -> Bool {
        if let connection = connections[node], connection.owes { _ = receive(node) }
        if connections[node] == nil, Self.now() - lastTry[node] >= Self.reconnection {
            lastTry[node] = Self.now()
            connections[node] = RawConnection(host: set.nodes[node].host, port: set.nodes[node].port)
        }
        guard let connection = connections[node], !connection.owes else { return false }
        return connection.get(name)
    }

    private func receive(_ node: Int) -> RawConnection.Progress {
        guard let connection = connections[node] else { return .broken }
        let progress = connection.receive()
        if case .broken = progress {
            bytesOfEnded += connection.bytes
            connections[node] = nil
        }
        return progress
    }

    /// `pselect`, as microseconds count where a hedge is due after one millisecond.
    private func waitFor(_ nodes: [Int], atMost seconds: Double) {
        var waiting = fd_set()
        var highest: Int32 = -1
        withUnsafeMutableBytes(of: &waiting) { bytes in
            let words = bytes.bindMemory(to: UInt64.self)
            for descriptor in nodes.compactMap({ connections[$0]?.descriptor }) where descriptor < FD_SETSIZE {
                words[Int(descriptor) / 64] |= 1 << UInt64(descriptor % 64)
                highest = max(highest, descriptor)
            }
        }
        var limit = timespec(tv_sec: 0, tv_nsec: max(Int(min(seconds, 0.9) * 1e9), 1))
        _ = pselect(highest + 1, &waiting, nil, nil, &limit, nil)
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
