import Glibc
import NIOCore

/// A small NBD client, byte by byte as the protocol has it, which can also do what no decent client does. Blocks its
/// thread: for closures on a thread pool.
final class NBDClient {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// The server has closed the connection.
    struct Ended: Error {}

    private let descriptor: Int32
    var byteCount: UInt64 = 0
    var flags: UInt16 = 0

    /// Seconds after which a server that says nothing is taken for broken.
    private static let patience = 120

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let number = descriptor
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw Failure(description: "cannot connect: \(errno)") }
        var time = timeval(tv_sec: Self.patience, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    // MARK: Bytes

    func send(_ buffer: ByteBuffer) throws {
        try buffer.withUnsafeReadableBytes { bytes in
            var done = 0
            while done < bytes.count {
                let count = Glibc.send(
                    descriptor, bytes.baseAddress?.advanced(by: done), bytes.count - done, Int32(MSG_NOSIGNAL))
                guard count > 0 else { throw Ended() }
                done += count
            }
        }
    }

    func receive(_ count: Int) throws -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: count)
        while buffer.readableBytes < count {
            let missing = count - buffer.readableBytes
            let received = try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: missing) { room in
                let received = recv(descriptor, room.baseAddress, missing, 0)
                if received == 0 || (received < 0 && errno == ECONNRESET) { throw Ended() }
                guard received > 0 else { throw Failure(description: "nothing came: \(errno)") }
                return received
            }
            precondition(received > 0)
        }
        return buffer
    }

    func receive<Value: FixedWidthInteger>(as: Value.Type) throws -> Value {
        var buffer = try receive(MemoryLayout<Value>.size)
        guard let value = buffer.readInteger(as: Value.self) else { throw Ended() }
        return value
    }

    /// Whether the server closes the connection; what it still says is read.
    func isClosed() throws -> Bool {
        do {
            while true { _ = try receive(1) }
        } catch is Ended { return true }
    }

    // MARK: Negotiation

    /// Reads the greeting and answers it.
    func greet(flags: UInt32 = 3) throws {
        guard try receive(as: UInt64.self) == 0x4E42_444D_4147_4943,
            try receive(as: UInt64.self) == 0x4948_4156_454F_5054,
            try receive(as: UInt16.self) == 3
        else { throw Failure(description: "the greeting is none") }
        try send(ByteBuffer(integer: flags))
    }

    func sendOption(_ option: UInt32, _ data: ByteBuffer = ByteBuffer()) throws {
        var buffer = ByteBuffer()
        buffer.writeMultipleIntegers(UInt64(0x4948_4156_454F_5054), option, UInt32(data.readableBytes))
        buffer.writeImmutableBuffer(data)
        try send(buffer)
    }

    /// One reply to an option.
    func optionReply() throws -> (option: UInt32, type: UInt32, data: ByteBuffer) {
        guard try receive(as: UInt64.self) == 0x0003_E889_0455_65A9 else {
            throw Failure(description: "this is no reply to an option")
        }
        let option = try receive(as: UInt32.self)
        let type = try receive(as: UInt32.self)
        return (option, type, try receive(Int(try receive(as: UInt32.self))))
    }

    /// Sends an option; the types of all replies to it.
    func ask(_ option: UInt32, _ data: ByteBuffer = ByteBuffer()) throws -> [UInt32] {
        try sendOption(option, data)
        var types: [UInt32] = []
        while true {
            let reply = try optionReply()
            guard reply.option == option else { throw Failure(description: "a reply to \(reply.option)") }
            types.append(reply.type)
            if option == 6 || option == 7, reply.type == 3 { try note(reply.data) }
            if reply.type == 1 || reply.type >= 1 << 31 { return types }
        }
    }

    private func note(_ info: ByteBuffer) throws {
        var info = info
        guard info.readInteger(as: UInt16.self) == 0 else { return }
        guard let (size, flags) = info.readMultipleIntegers(as: (UInt64, UInt16).self) else { throw Ended() }
        byteCount = size
        self.flags = flags
    }

    /// Comes as far as requests.
    func begin(structured: Bool = true, allocation: Bool = false, name: String = "") throws {
        try greet()
        if structured { guard try ask(8) == [1] else { throw Failure(description: "no structured replies") } }
        if allocation {
            var data = Self.named(name)
            data.writeInteger(UInt32(1))
            data.writeImmutableBuffer(Self.named("base:allocation"))
            guard try ask(10, data) == [4, 1] else { throw Failure(description: "no base:allocation") }
        }
        var data = Self.named(name)
        data.writeInteger(UInt16(0))
        guard try ask(7, data) == [3, 1] else { throw Failure(description: "no export") }
    }

    static func named(_ name: String) -> ByteBuffer {
        var data = ByteBuffer(integer: UInt32(name.utf8.count))
        data.writeString(name)
        return data
    }

    // MARK: Requests

    func sendRequest(
        _ command: UInt16, flags: UInt16 = 0, cookie: UInt64, offset: UInt64 = 0, length: Int = 0
    ) throws {
        try send(Self.request(command, flags: flags, cookie: cookie, offset: offset, length: length))
    }

    static func request(
        _ command: UInt16, flags: UInt16 = 0, cookie: UInt64, offset: UInt64 = 0, length: Int = 0
    ) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeMultipleIntegers(UInt32(0x2560_9513), flags, command, cookie, offset, UInt32(length))
        return buffer
    }

    /// A simple reply, or one chunk of a structured one.
    struct Reply {
        var cookie: UInt64
        var error: UInt32 = 0
        var isLast = true
        /// `nil` for a simple reply.
        var chunk: UInt16?
        var data = ByteBuffer()
    }

    /// - Parameter count: bytes that follow a simple reply without an error.
    func reply(_ count: Int = 0) throws -> Reply {
        switch try receive(as: UInt32.self) {
        case 0x6744_6698:
            let error = try receive(as: UInt32.self)
            var reply = Reply(cookie: try receive(as: UInt64.self), error: error)
            if error == 0 { reply.data = try receive(count) }
            return reply
        case 0x668E_33EF:
            let isLast = try receive(as: UInt16.self) == 1
            let type = try receive(as: UInt16.self)
            let cookie = try receive(as: UInt64.self)
            let data = try receive(Int(try receive(as: UInt32.self)))
            var reply = Reply(cookie: cookie, isLast: isLast, chunk: type, data: data)
            if type >= 1 << 15 { reply.error = data.getInteger(at: data.readerIndex, as: UInt32.self) ?? 0 }
            return reply
        case let magic: throw Failure(description: "\(magic) begins no reply")
        }
    }

    /// All replies to one READ of a connection that has no other request open, put together.
    func read(at offset: UInt64, count: Int, flags: UInt16 = 0) throws -> (bytes: [UInt8], chunks: [Reply]) {
        try sendRequest(0, flags: flags, cookie: 7, offset: offset, length: count)
        var bytes = [UInt8](repeating: 0xEE, count: count)
        var chunks: [Reply] = []
        while true {
            var reply = try reply(count)
            guard reply.cookie == 7 else { throw Failure(description: "a reply to \(reply.cookie)") }
            chunks.append(reply)
            if reply.error == 0 {
                switch reply.chunk {
                case nil: bytes.replaceSubrange(0..., with: reply.data.readableBytesView)
                case 1:
                    let start = Int((reply.data.readInteger(as: UInt64.self) ?? 0) - offset)
                    bytes.replaceSubrange(
                        start..<start + reply.data.readableBytes, with: reply.data.readableBytesView)
                case 2:
                    let start = Int((reply.data.readInteger(as: UInt64.self) ?? 0) - offset)
                    let length = Int(reply.data.readInteger(as: UInt32.self) ?? 0)
                    bytes.replaceSubrange(start..<start + length, with: repeatElement(0, count: length))
                default: break
                }
            }
            if reply.isLast { return (bytes, chunks) }
        }
    }
}
