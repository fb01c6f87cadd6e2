import Foundation
import Glibc

/// One connection to a daemon that never blocks: a request, then its answer as it comes.
final class RawConnection {
    enum Progress {
        case waiting
        /// The body, until the next request.
        case answered(status: Int, body: UnsafeRawBufferPointer)
        case broken
    }

    let descriptor: Int32
    /// Whether an answer has not come yet.
    private(set) var owes = false
    private(set) var bytes = 0
    private let host: String
    private let buffer: UnsafeMutableRawBufferPointer
    private var count = 0
    private var head: (status: Int, bytes: Int, body: Int)?

    init?(host: String, port: Int) {
        self.host = host
        guard let descriptor = Connection.connected(host: host, port: port) else { return nil }
        self.descriptor = descriptor
        buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: (512 << 10) + 4096, alignment: 64)
    }

    deinit {
        close(descriptor)
        buffer.deallocate()
    }

    /// Asks for a chunk, for no lease and no wait.
    func get(_ name: String) -> Bool {
        (count, head, owes) = (0, nil, true)
        let text = "GET /v1/chunks/\(name) HTTP/1.1\r\nHost: \(host)\r\nPrefer: wait=0\r\n\r\n"
        let sent = text.utf8.withContiguousStorageIfAvailable {
            send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        return sent == text.utf8.count
    }

    /// Takes what has come.
    func receive() -> Progress {
        while true {
            let more = recv(
                descriptor, buffer.baseAddress.map { $0 + count }, buffer.count - count, Int32(MSG_DONTWAIT))
            if more < 0, errno == EAGAIN || errno == EINTR { return .waiting }
            guard more > 0 else { return .broken }
            count += more
            bytes += more
            if head == nil { head = parse() }
            guard let head else { continue }
            if count >= head.bytes + head.body {
                owes = false
                let body = buffer[head.bytes..<head.bytes + head.body]
                return .answered(status: head.status, body: UnsafeRawBufferPointer(rebasing: body))
            }
        }
    }

    private func parse() -> (status: Int, bytes: Int, body: Int)? {
        let text = String(decoding: buffer[..<min(count, 4096)], as: UTF8.self)
        guard let end = text.range(of: "\r\n\r\n") else { return nil }
        var body = 0
        for line in text[..<end.lowerBound].split(separator: "\r\n")
        where line.lowercased().hasPrefix("content-length:") {
            body = Int(line.dropFirst("content-length:".count).trimmingCharacters(in: .whitespaces)) ?? 0
        }
        let status = text.split(separator: " ", maxSplits: 2).dropFirst().first.flatMap { Int($0) } ?? 0
        return (status, text[..<end.upperBound].utf8.count, body)
    }
}
