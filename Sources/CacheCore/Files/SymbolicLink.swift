internal import CacheBase

/// Symbolic links in paths that the user gave, for what replaces a file: the file that the link leads to, never the
/// link.
///
/// `realpath` will not do: it makes the whole path anew, with names above it that need not be UTF-8.
package enum SymbolicLink {
    private static let mostLinks = 40

    /// The path of what `path` leads to, itself if it is no link; what is there need not exist, unless a link leads to
    /// it.
    /// - Throws: ``CacheError`` that names the link: it leads nowhere, in a circle, or to a name that is not UTF-8.
    package static func resolve(_ path: String) throws -> String {
        var current = path
        for _ in 0..<mostLinks {
            do throws(Errno) {
                guard try Descriptor.workingDirectory.status(of: current).kind == .symbolicLink else { return current }
            } catch {
                if current == path, error == .noSuchFile { return path }
                throw current == path ? CacheError.system("find \(path)", error) : nowhere(path, current, error)
            }
            let target = try read(current)
            current = target.utf8.first == UInt8(ascii: "/") ? target : TemporaryName.split(current).directory + target
        }
        throw CacheError(.invalidInput, "\(path) is a symbolic link that leads in a circle: remove it, or name a file")
    }

    private static func read(_ link: String) throws -> String {
        let bytes = try reporting("read the link \(link)") { () throws(Errno) in
            try Descriptor.workingDirectory.target(ofLink: link).bytes
        }
        guard let target = String(validating: bytes, as: UTF8.self), !target.isEmpty else {
            throw CacheError(.invalidInput, "\(link) is a symbolic link to a name that is not UTF-8: name a file")
        }
        return target
    }

    private static func nowhere(_ link: String, _ target: String, _ error: Errno) -> CacheError {
        CacheError(
            .invalidInput,
            "\(link) is a symbolic link that leads nowhere, to \(target) (\(error)): is a volume not mounted? Mount "
                + "it, remove the link, or name a file"
        )
    }
}
