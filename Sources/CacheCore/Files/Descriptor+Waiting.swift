internal import Glibc

// Files with another end: pipes, terminals.
extension Descriptor {
    package enum Direction: Sendable {
        case reading
        case writing
    }

    /// Waits until a read or write would not wait, or would fail, `poll(2)`.
    ///
    /// - Parameter milliseconds: how long; negative for ever.
    /// - Returns: false if it still would; a signal ends the wait early.
    package func isReady(for direction: Direction, within milliseconds: Int32) throws(Errno) -> Bool {
        var question = pollfd(
            fd: rawValue, events: Int16(direction == .reading ? POLLIN : POLLOUT), revents: 0)
        let answer = poll(&question, 1, milliseconds)
        if answer < 0, errno != EINTR { throw Errno.current }
        return answer > 0
    }
}
