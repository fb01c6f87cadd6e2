internal import CacheFiles
internal import NIOCore
internal import NIOHTTP1

/// The status and header fields of a response, written straight into the buffer that is sent.
struct ResponseHead {
    var status: HTTPResponseStatus
    var contentType: String
    var contentLength: Int
    /// Further fields, each name with its value. They come from this program, never from a client.
    var fields: [(name: String, value: String)] = []

    static func chunk(length: Int) -> ResponseHead {
        ResponseHead(status: .ok, contentType: "application/octet-stream", contentLength: length)
    }

    static func text(_ status: HTTPResponseStatus, length: Int) -> ResponseHead {
        ResponseHead(status: status, contentType: "text/plain; charset=utf-8", contentLength: length)
    }

    /// - Parameters:
    ///   - date: the present, as ``HTTPDate`` writes it.
    ///   - connection: the value of the `Connection` field, if it must be there.
    func write(to buffer: inout ByteBuffer, date: String, connection: StaticString?) {
        if status == .ok {
            buffer.writeStaticString("HTTP/1.1 200 OK\r\nContent-Type: ")
        } else {
            buffer.writeString("HTTP/1.1 \(status.code) \(status.reasonPhrase)\r\nContent-Type: ")
        }
        buffer.writeString(contentType)
        buffer.writeStaticString("\r\nContent-Length: ")
        buffer.writeString(String(contentLength))
        buffer.writeStaticString("\r\nDate: ")
        buffer.writeString(date)
        for field in fields {
            buffer.writeString("\r\n\(field.name): \(field.value)")
        }
        if let connection {
            buffer.writeStaticString("\r\nConnection: ")
            buffer.writeStaticString(connection)
        }
        buffer.writeStaticString("\r\n\r\n")
    }
}

/// Writes the heads of an event loop's responses.
struct ResponseHeads {
    /// The present as `Date` fields have it, renewed each tick.
    private var date = HTTPDate.now()
    /// Memory for one head after the other.
    private var buffer = ByteBuffer()

    mutating func renewDate() { date = HTTPDate.now() }

    /// A head and the content that follows it, in memory that the next one uses again unless this one is still held
    /// then.
    mutating func write(_ head: ResponseHead, connection: StaticString?, _ content: ByteBuffer) -> ByteBuffer {
        buffer.clear(minimumCapacity: 256 + content.readableBytes)
        head.write(to: &buffer, date: date, connection: connection)
        buffer.writeImmutableBuffer(content)
        return buffer
    }
}

/// The form of a date that RFC 9110 section 5.6.7 demands, e.g. `Sun, 06 Nov 1994 08:49:37 GMT`.
enum HTTPDate {
    static func now() -> String { format(Int(SystemClock.milliseconds() / 1000)) }

    /// - Parameter seconds: since 1970.
    static func format(_ seconds: Int) -> String {
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let time = CalendarTime(secondsSince1970: seconds)
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return
            "\(days[time.weekday]), \(two(time.day)) \(months[time.month]) \(time.year) "
            + "\(two(time.hour)):\(two(time.minute)):\(two(time.second)) GMT"
    }
}
