/// The signals of a thread of any process, as `/proc/PID/status` tells of them (proc(5)): sets, in which signal 1 is
/// the lowest bit.
package struct ThreadSignals: Sendable {
    /// Those that wait to be taken, by the thread or by any of its process.
    package let pending: UInt64
    /// Those that it blocks, ignores or has a handler for.
    package let withheld: UInt64

    /// - Returns: `nil` where it cannot be found out.
    /// - Parameter thread: its number in the PID namespace of `/proc`.
    package init?(of thread: UInt32) {
        do {
            let file = try OpenFile.open("/proc/\(thread)/status")
            let text = try withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 8) { buffer in
                let count = try file.descriptor.readAll(into: buffer, at: 0)
                return String(decoding: buffer[..<count], as: UTF8.self)
            }
            self.init(status: text)
        } catch {
            return nil
        }
    }

    /// - Parameter status: the text of that file.
    package init?(status: String) {
        var sets: [Substring: UInt64] = [:]
        for line in status.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == "\t" || $0 == " " || $0 == ":" })
            guard words.count == 2, words[0].hasPrefix("S") else { continue }
            sets[words[0]] = UInt64(words[1], radix: 16)
        }
        guard let own = sets["SigPnd"], let shared = sets["ShdPnd"], let blocked = sets["SigBlk"],
            let ignored = sets["SigIgn"], let caught = sets["SigCgt"]
        else { return nil }
        pending = own | shared
        withheld = blocked | ignored | caught
    }

    /// Whether one that ends the process waits to be taken. The kernel makes most of them a SIGKILL for each thread,
    /// but not one that comes while another signal waits.
    package var isDying: Bool { pending & ~withheld & ~Self.harmless != 0 }

    /// Those that end no process that has no handler for them: SIGCHLD to SIGURG, which also stop and go on, and
    /// SIGWINCH.
    private static let harmless: UInt64 = (17...23).reduce(1 << 27) { $0 | 1 << ($1 - 1) }
}
