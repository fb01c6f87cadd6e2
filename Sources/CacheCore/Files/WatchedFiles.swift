internal import CacheBase
internal import CacheCrypto

/// Small files that belong together and are read again when one of them has changed. A value: one thread looks.
package struct WatchedFiles: Sendable {
    /// What tells that a file is another one, or has other contents.
    private struct Mark: Hashable {
        let identity: FileStatus.Identity
        let size: Int
        let modified: FileTime
        let changed: FileTime
    }

    private let files: [(path: String, kind: SmallFile.Kind)]
    private var marks: [Mark?] = []
    /// Whether they were read well since the marks were last seen to change. A file that is written twice within one
    /// tick of the filesystem's clock has the same mark both times: so each change is read twice.
    private var isSettled = false
    private var contents: SHA256Digest?

    package init(_ files: [(path: String, kind: SmallFile.Kind)]) {
        self.files = files
    }

    /// The contents of all files, in order, if they are others than at the last look, or cannot be had; `nil` if not.
    /// Blocks; costs one `stat` a file where nothing has changed.
    package mutating func look() -> Result<[[UInt8]], any Error>? {
        // Before they are read: what is written after that is found by the next look.
        let now = files.map { file in
            FileStatus.find(file.path).map {
                Mark(identity: $0.identity, size: $0.size, modified: $0.modified, changed: $0.changed)
            }
        }
        if now == marks, isSettled { return nil }
        isSettled = now == marks
        marks = now
        do {
            let all = try files.map { file in
                guard let read = try SmallFile.read(file.path, file.kind) else {
                    throw CacheError.missing(file.path, file.kind)
                }
                return read.bytes
            }
            let digest = Self.digest(of: all)
            defer { contents = digest }
            return digest == contents ? nil : .success(all)
        } catch {
            isSettled = false
            contents = nil
            return .failure(error)
        }
    }

    private static func digest(of all: [[UInt8]]) -> SHA256Digest {
        var stream = SHA256Stream()
        for bytes in all {
            withUnsafeBytes(of: bytes.count) { stream.update($0) }
            bytes.withUnsafeBytes { stream.update($0) }
        }
        return stream.finish()
    }
}

extension CacheError {
    fileprivate static func missing(_ path: String, _ kind: SmallFile.Kind) -> CacheError {
        CacheError(.missing, "there is no \(kind.name) \(path)")
    }
}
