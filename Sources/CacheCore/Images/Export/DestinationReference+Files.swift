internal import CacheFiles

extension DestinationReference {
    /// Its path.
    package var path: String {
        switch self {
        case .ociLayout(let path, _), .ociArchive(let path, _), .tar(let path), .directory(let path), .file(let path):
            path
        }
    }

    /// Whether it is where the process's standard output goes, so that nothing else may be written there. A device does
    /// not count: a terminal or /dev/null takes both.
    package var isStandardOutput: Bool {
        do throws(Errno) {
            let output = try Descriptor.standardOutput.status()
            let other = try Descriptor.workingDirectory.status(of: path, followingLinks: true)
            return output.kind != .characterDevice && output.identity == other.identity
        } catch {
            return false
        }
    }

    /// The same destination by the name of the file that links lead to: a new file takes the place of the one that has
    /// its name, and that must not be a link such as /dev/stdout.
    package func followingLinks() throws -> DestinationReference {
        if let status = FileStatus.find(path), status.kind != .regular { return self }
        let path = try SymbolicLink.resolve(path)
        return switch self {
        case .tar: .tar(file: path)
        case .file: .file(path)
        case .ociArchive(_, let tag): .ociArchive(file: path, tag: tag)
        case .ociLayout, .directory: self
        }
    }
}
