internal import CacheFiles
internal import Glibc

extension DestinationReference {
    /// Where it is, whatever kind it is of.
    package var path: String {
        switch self {
        case .ociLayout(let path, _), .ociArchive(let path, _), .tar(let path), .directory(let path), .file(let path):
            path
        }
    }

    /// Whether it is where the process's standard output goes, so that nothing else may be written there. A device is not: what a terminal
    /// or /dev/null gets is in nobody's way.
    package var isStandardOutput: Bool {
        var output = stat()
        var other = stat()
        guard fstat(STDOUT_FILENO, &output) == 0, stat(path, &other) == 0, output.st_mode & S_IFMT != S_IFCHR else {
            return false
        }
        return output.st_dev == other.st_dev && output.st_ino == other.st_ino
    }

    /// The same destination by the name of the file that links lead to: a new file takes the place of the one that has its name, and that
    /// must not be a link such as /dev/stdout.
    package func followingLinks() throws -> DestinationReference {
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG { return self }
        let path = try SymbolicLink.resolve(path)
        return switch self {
        case .tar: .tar(file: path)
        case .file: .file(path)
        case .ociArchive(_, let tag): .ociArchive(file: path, tag: tag)
        case .ociLayout, .directory: self
        }
    }
}
