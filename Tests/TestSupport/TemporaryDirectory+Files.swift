import Foundation

extension TemporaryDirectory {
    /// The bytes of a file in the directory.
    package func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: self(name))))
    }

    /// Makes a file in the directory, and the directories on the way to it.
    package func write(_ name: String, _ bytes: some Sequence<UInt8>) throws {
        let url = URL(fileURLWithPath: self(name))
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: url)
    }

    /// The sorted names in a directory below it; none if there is no such directory.
    package func names(_ below: String = "") -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: self(below))) ?? []).sorted()
    }
}
