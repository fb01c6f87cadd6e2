/// The one error type of CacheCore: what went wrong, with which object, and the way out.
///
/// A miss is never an error (it is `nil`), and corruption is never a miss. The `description` is one line, fit for
/// standard error.
public struct CacheError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure it was; callers branch on this, people read `message`.
    public enum Code: String, Sendable {
        /// Bytes are there but are not what their name or their authentication tag says.
        case corrupt
        /// A chunk, manifest or other object that must exist does not.
        case missing
        /// A key that is needed is not in the keyring, or is not the right one.
        case key
        /// Input from outside (archive, JSON, manifest, configuration) that is malformed.
        case invalidInput
        /// Input or work that goes beyond a documented limit.
        case limitExceeded
        /// A format whose magic or version this build does not know.
        case unsupported
        /// The operating system or a store refused (disk full, permission, I/O error).
        case io
        /// A tier or peer did not answer in its time.
        case timedOut
        /// Too much work is under way already; try again later.
        case overloaded
        /// Another process or task changed the same thing at the same time.
        case conflict
        /// The store or client was closed.
        case closed
    }

    public let code: Code
    /// One line: what, which object, what to do.
    public let message: String
    /// The error below this one, if there was one.
    public let cause: (any Error)?
    /// When it is worth trying again, where that is known; the message says it, too.
    public let retryAfter: Duration?

    public init(_ code: Code, _ message: String, cause: (any Error)? = nil, retryAfter: Duration? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
        self.retryAfter = retryAfter
    }

    public var description: String {
        let line = cause.map { "\(message): \($0)" } ?? message
        guard line.unicodeScalars.contains(where: Self.isUnprintable) else { return line }
        // Names in it may be a stranger's, and what is printed may reach a terminal: no line ends, no escape sequences,
        // nothing that turns text around. Different names stay different.
        return line.unicodeScalars.reduce(into: "") { text, scalar in
            if Self.isUnprintable(scalar) {
                text += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
    }

    private static func isUnprintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
