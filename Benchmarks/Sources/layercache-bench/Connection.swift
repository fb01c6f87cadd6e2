import Foundation
import Glibc

/// One blocking TCP connection to loopback: the load generator for writes, the same for HTTP and for Redis.
final class Connection {
    private let descriptor: Int32
    private var head = [UInt8](repeating: 0, count: 16 * 1024)

    init(host: String = "127.0.0.1", port: Int) throws {
        guard let connected = Self.connected(host: host, port: port) else {
            throw BenchError("cannot connect to port \(port)")
        }
        descriptor = connected
        var limit = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// A connected socket, which the caller closes. On loopback the kernel answers at once, also for a process that is
    /// stopped.
    static func connected(host: String, port: Int) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var one = Int32(1)
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = inet_addr(host)
        let status = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else {
            close(descriptor)
            return nil
        }
        return descriptor
    }

    deinit { close(descriptor) }

    func send(_ text: String) throws {
        try text.utf8.withContiguousStorageIfAvailable { try send(UnsafeRawBufferPointer($0)) }
    }

    func send(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.send(descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
            guard count > 0 else { throw BenchError("a connection broke while sending") }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// The answer up to `end`; none of what is measured with this has more behind it than fits.
    func answer(upTo end: String) throws -> String {
        var count = 0
        while true {
            let more = head.withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress.map { $0 + count }, $0.count - count, 0)
            }
            guard more > 0 else { throw BenchError("a connection ended in the middle of an answer") }
            count += more
            let text = String(decoding: head[..<count], as: UTF8.self)
            if text.contains(end) { return text }
            guard count < head.count else { throw BenchError("an answer is longer than it should be") }
        }
    }
}

/// As ``load(_:total:_:)``, on `threads` threads, each with a connection of its own.
func load(
    threads: Int, total: Int, port: Int, _ body: @escaping @Sendable (Connection, Int) throws -> Void
) throws -> (samples: [Double], seconds: Double) {
    try load(try (0..<threads).map { _ in try Connection(port: port) }, total: total, body)
}
