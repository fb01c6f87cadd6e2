internal import CacheBase

/// How many tasks of the whole machine want a processor at the moment, as `/proc/loadavg` tells.
package final class RunQueue: Sendable {
    private let file: OpenFile
    /// Processors that share them.
    package let processors = ResourceProbe.processors

    /// `nil` where the machine does not tell.
    package init?() {
        do throws(Errno) {
            let descriptor = try Descriptor.workingDirectory.open("/proc/loadavg", .nonBlocking)
            file = OpenFile(adopting: descriptor, name: "/proc/loadavg")
        } catch {
            return nil
        }
    }

    /// The caller is one of them. Costs a few microseconds.
    /// - Returns: `nil` if the machine does not tell.
    package func ready() -> Int? {
        withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { space in
            guard let count = try? file.descriptor.read(into: space, at: 0) else { return nil }
            return Self.ready(in: String(decoding: space.prefix(count), as: UTF8.self))
        }
    }

    /// The fourth field of a line such as `0.20 0.18 0.12 3/480 11206` has them before its slash.
    package static func ready(in line: String) -> Int? {
        let fields = line.split(separator: " ")
        guard fields.count >= 4 else { return nil }
        return fields[3].split(separator: "/", omittingEmptySubsequences: false).first.flatMap { Int($0) }
    }
}
