internal import CLinux
package import CacheBase
internal import Glibc

/// The service manager that started this process: what it gives and is told, as sd_notify(3) and
/// sd_listen_fds(3) describe it.
package struct ServiceManager: Sendable {
    /// The path of its socket, or an abstract name that begins with `@`.
    private let socketPath: String

    /// `nil` where no service manager listens (`NOTIFY_SOCKET`).
    package init?() {
        guard let path = CurrentProcess.environment("NOTIFY_SOCKET"), !path.isEmpty else { return nil }
        socketPath = path
    }

    /// Tells it `text`, lines of `NAME=VALUE`.
    ///
    /// - Parameter file: is kept by it, with `FDSTORE=1` in the text, and given to the next process of the service.
    package func tell(_ text: String, storing file: Descriptor? = nil) throws(CacheError) {
        let bytes = Array(text.utf8)
        try reporting("tell the service manager at \(socketPath)") { () throws(Errno) in
            let number = try retrying {
                socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            }
            defer { close(number) }
            try retrying { layercache_send_to_path(number, socketPath, bytes, bytes.count, file?.rawValue ?? -1) }
        }
    }

    /// The first of the open files that the process was started with.
    private static let firstNumber: Int32 = 3
    /// More names than any service has.
    private static let mostFiles = 1024

    /// The open files of that name which the process was started with (`LISTEN_FDS`), taken over. To be asked for once.
    package static func files(named name: String) -> [OpenFile] {
        guard let process = CurrentProcess.environment("LISTEN_PID"), Int32(process) == CurrentProcess.number,
            let count = CurrentProcess.environment("LISTEN_FDS").flatMap({ Int($0) }), (1...mostFiles).contains(count),
            let names = CurrentProcess.environment("LISTEN_FDNAMES")
        else { return [] }
        return names.split(separator: ":", omittingEmptySubsequences: false).prefix(count).enumerated().compactMap {
            $1 == name ? OpenFile.inherited(firstNumber + Int32($0), name: name) : nil
        }
    }
}

extension OpenFile {
    /// Takes over an open file that the process was started with, which no program that it starts gets; `nil` if there
    /// is none of that number.
    package static func inherited(_ number: Int32, name: String) -> OpenFile? {
        guard fcntl(number, F_SETFD, FD_CLOEXEC) == 0 else { return nil }
        return OpenFile(adopting: Descriptor(rawValue: number), name: name)
    }
}
