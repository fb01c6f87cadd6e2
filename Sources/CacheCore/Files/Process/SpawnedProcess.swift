internal import Glibc

/// A program that this process has started.
package struct SpawnedProcess: Sendable, Hashable {
    /// Its number; another process's as soon as its end has been waited for.
    package let number: Int32

    package enum End: Sendable, Equatable {
        case exited(status: Int32)
        /// Ended by a signal.
        case killed(signal: Int32)
    }

    /// Blocks until it has ended. To be called once, by whoever started it.
    package func wait() throws(Errno) -> End {
        var status: Int32 = 0
        try retrying { waitpid(number, &status, 0) }
        return Self.end(status)
    }

    /// How it ended; `nil` if it still runs. After an answer it must not be asked again.
    package func endIfEnded() throws(Errno) -> End? {
        var status: Int32 = 0
        return try retrying { waitpid(number, &status, WNOHANG) } == 0 ? nil : Self.end(status)
    }

    /// Sends a signal. To be called only before its end has been waited for.
    package func signal(_ signal: Int32) throws(Errno) {
        try retrying { kill(number, signal) }
    }

    private static func end(_ status: Int32) -> End {
        let signal = status & 0x7F
        return signal == 0 ? .exited(status: (status >> 8) & 0xFF) : .killed(signal: signal)
    }
}
