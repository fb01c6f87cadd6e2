import Foundation
import Glibc

/// A directory for one test, removed with all that is in it when the last reference to it goes away.
package final class TemporaryDirectory: Sendable {
    package let path: String

    /// The system's temporary directory, of which it is not known what kind of filesystem it is on.
    package static let standardParent = FileManager.default.temporaryDirectory.path

    /// A directory in memory (tmpfs) where there is one, else ``standardParent``.
    package static let parentInMemory = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : standardParent

    package init(in parent: String = standardParent) throws {
        path = "\(parent)/layercache-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit {
        do {
            do {
                try FileManager.default.removeItem(atPath: path)
            } catch {
                // Trees whose directories may not be listed or changed are among what is tested.
                _ = try ChildProcess("chmod", ["-R", "u+rwx", path]).blockUntilEnd()
                try FileManager.default.removeItem(atPath: path)
            }
        } catch CocoaError.fileNoSuchFile {
            // The test has removed it.
        } catch {
            FileHandle.standardError.write(Data("a test leaves \(path) behind: \(error)\n".utf8))
        }
    }

    /// The path of something in the directory.
    package func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }
}
