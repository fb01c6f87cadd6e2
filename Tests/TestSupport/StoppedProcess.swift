import Foundation
import Glibc

/// Stops a process, and waits until it stands still: the kernel stops its threads one after another, and one that runs
/// on another processor may answer something until then.
package func stopProcess(_ pid: Int32) async throws {
    guard Glibc.kill(pid, SIGSTOP) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .ESRCH) }
    try await eventually("every thread of process \(pid) stopped") { standsStill(pid) }
}

extension ChildProcess {
    /// Stops it, unless it has ended, and waits until it stands still.
    package func stop() async throws {
        signal(SIGSTOP)
        try await eventually("every thread of process \(pid) stopped") { hasEnded || standsStill(pid) }
    }

    /// Stops it with `SIGSTOP`, or ends it with `SIGKILL`, and waits until it stands still.
    package func disable(_ number: Int32) async throws {
        if number == SIGSTOP { try await stop() } else { kill() }
    }
}

/// Whether no thread of a process runs any more.
private func standsStill(_ pid: Int32) -> Bool {
    let directory = "/proc/\(pid)/task"
    let threads = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    return threads.allSatisfy { thread in
        // One whose file is gone has ended since.
        guard let stat = try? String(contentsOfFile: "\(directory)/\(thread)/stat", encoding: .utf8) else {
            return true
        }
        // The state comes after the name in brackets, which may hold anything.
        let state = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].dropFirst(2).first
        return state.map { "TtZX".contains($0) } ?? true
    }
}
