import CacheCore
import Foundation

/// Chunks of one length, which zstd cannot shorten, with their names.
struct Bodies: Sendable {
    let names: [String]
    let bodies: [Data]
    let length: Int

    init(count: Int, seed: UInt64, length: Int = ChunkLimits.plainBytes) {
        self.length = length
        var state = seed
        var names: [String] = []
        bodies = (0..<count).map { _ in
            var body = Data(count: length)
            body.withUnsafeMutableBytes { bytes in
                for offset in stride(from: 0, to: bytes.count, by: 8) {
                    // SplitMix64 (Steele, Lea, Flood 2014).
                    state &+= 0x9e37_79b9_7f4a_7c15
                    var word = state
                    word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
                    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
                    bytes.storeBytes(of: word ^ (word >> 31), toByteOffset: offset, as: UInt64.self)
                }
                names.append(ChunkID(ofSealed: UnsafeRawBufferPointer(bytes)).hex)
            }
            return body
        }
        self.names = names
    }

    var byteCount: Double { Double(bodies.count * length) }

    /// PUT of every body over `threads` connections.
    func put(port: Int, threads: Int) throws -> (samples: [Double], seconds: Double) {
        try load(threads: threads, total: bodies.count, port: port) { connection, number in
            let body = bodies[number]
            try connection.send(
                "PUT /v1/chunks/\(names[number]) HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: \(body.count)\r\n\r\n")
            try body.withUnsafeBytes { try connection.send($0) }
            let answer = try connection.answer(upTo: "\r\n\r\n")
            guard answer.hasPrefix("HTTP/1.1 201") else {
                throw BenchError("PUT was answered \(answer.prefix { $0 != "\r\n" })")
            }
        }
    }

    /// The key of a body in Redis, as `redis-benchmark` makes it of a random number.
    static func redisKey(_ number: Int) -> String {
        let digits = String(number)
        return "key:" + String(repeating: "0", count: 12 - digits.count) + digits
    }

    /// SET of every body, in the protocol of Redis.
    func set(port: Int, threads: Int) throws -> (samples: [Double], seconds: Double) {
        try load(threads: threads, total: bodies.count, port: port) { connection, number in
            let body = bodies[number]
            let key = Self.redisKey(number)
            try connection.send("*3\r\n$3\r\nSET\r\n$\(key.utf8.count)\r\n\(key)\r\n$\(body.count)\r\n")
            try body.withUnsafeBytes { try connection.send($0) }
            try connection.send("\r\n")
            let answer = try connection.answer(upTo: "\r\n")
            guard answer.hasPrefix("+OK") else { throw BenchError("SET was answered \(answer)") }
        }
    }

    /// A file of each, where a server of files serves them under the path of a chunk.
    func write(below root: String) throws {
        try FileManager.default.createDirectory(atPath: "\(root)/v1/chunks", withIntermediateDirectories: true)
        for (name, body) in zip(names, bodies) { try body.write(to: URL(fileURLWithPath: "\(root)/v1/chunks/\(name)")) }
    }
}
