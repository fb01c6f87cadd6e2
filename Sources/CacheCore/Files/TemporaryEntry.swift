internal import CacheBase
internal import CacheCrypto
internal import Glibc

/// Names under which something is filled before it gets its own.
package enum TemporaryName {
    package static let prefix = ".layercache-"

    /// What all temporary names for an entry called `name` begin with: whoever writes it next finds what a killed one left, and nobody else's.
    static func prefix(for name: some Collection<UInt8>) -> String {
        let digest = Array(name).withUnsafeBytes { SHA256Digest(hashing: $0) }
        return "\(prefix)\(digest.hex.prefix(16))-"
    }

    /// For what is made inside a directory that is a destination itself.
    package static let insidePrefix = prefix(for: ".".utf8)

    package static func unique(_ prefix: String) -> String {
        prefix + String(UInt64.random(in: 0 ... .max), radix: 36)
    }

    /// The directory of `path`, with a slash at its end (empty: the current one), and the name in it.
    static func split(_ path: String) -> (directory: Substring, name: Substring) {
        var trimmed = path[...]
        while trimmed.utf8.count > 1, trimmed.utf8.last == UInt8(ascii: "/") { trimmed = trimmed.dropLast() }
        let start = trimmed.utf8.lastIndex(of: UInt8(ascii: "/")).map { trimmed.utf8.index(after: $0) }
        return (trimmed[..<(start ?? trimmed.startIndex)], trimmed[(start ?? trimmed.startIndex)...])
    }

    /// A name in the directory of `path` that nobody else uses; short, however long that of `path` is.
    static func beside(_ path: String) -> String {
        let (directory, name) = split(path)
        return directory + unique(prefix(for: name.utf8))
    }
}

/// A file or directory that is filled under a temporary name, locked for as long as somebody fills it.
///
/// The lock goes with the process. So what is not locked was left by one that was killed, and the next pull to the same destination
/// removes it.
package struct TemporaryEntry: Sendable {
    /// Below the directory that it was made in; a path if that was not given.
    package let name: String
    /// Open and locked (`flock`). A filesystem without locks does without: then nothing is ever taken for abandoned either.
    package let file: OpenFile

    /// A new file beside `path`, after what others left there for it was removed.
    package static func file(for path: String, mode: UInt32) throws -> TemporaryEntry {
        removeAbandoned(for: path)
        return try makeFile(in: AT_FDCWD, mode: mode, path: path) { TemporaryName.beside(path) }
    }

    /// A new directory beside `path`, after what others left there for it was removed.
    package static func directory(for path: String) throws -> TemporaryEntry {
        removeAbandoned(for: path)
        return try makeDirectory(in: AT_FDCWD, path: path) { TemporaryName.beside(path) }
    }

    package static func file(in directory: OpenFile, for name: String, mode: UInt32) throws -> TemporaryEntry {
        try makeFile(in: directory.descriptor, mode: mode, path: "\(directory.name)/\(name)") {
            TemporaryName.unique(TemporaryName.insidePrefix)
        }
    }

    package static func directory(in directory: OpenFile) throws -> TemporaryEntry {
        try makeDirectory(in: directory.descriptor, path: directory.name) {
            TemporaryName.unique(TemporaryName.insidePrefix)
        }
    }

    private static func makeFile(
        in directory: Int32, mode: UInt32, path: String, name: () -> String
    ) throws -> TemporaryEntry {
        try make(in: directory, path: path, name: name) { name in
            openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
        }
    }

    private static func makeDirectory(in directory: Int32, path: String, name: () -> String) throws -> TemporaryEntry {
        try make(in: directory, path: path, name: name) { name in
            if mkdirat(directory, name, 0o755) != 0 { return -1 }
            return openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        }
    }

    /// Between making and locking, another one may take the entry for an abandoned one and remove it: then it is made again.
    private static func make(
        in directory: Int32, path: String, name: () -> String, create: (String) -> Int32
    ) throws -> TemporaryEntry {
        for _ in 0..<100 {
            let name = name()
            var descriptor = create(name)
            while descriptor == -1, errno == EINTR { descriptor = create(name) }
            if descriptor == -1 {
                let number = errno
                // EEXIST after a signal, or by a chance of one in 2^64; ENOENT also where there is no such directory, or no more.
                let (parent, _) = TemporaryName.split(path)
                var status = stat()
                if number == EEXIST || number == ENOENT && stat("\(parent)./", &status) == 0 && status.st_nlink > 0 {
                    continue
                }
                throw CacheError.system("write \(path)", number)
            }
            let file = OpenFile(adopting: descriptor, name: path)
            if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK { continue }
            var found = stat()
            if fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) == 0, try file.status().isSameFile(as: found) {
                return TemporaryEntry(name: name, file: file)
            }
        }
        throw CacheError(.conflict, "write \(path): others remove the temporary file at once, every time")
    }

    // MARK: What killed ones left

    /// How many entries of a directory are looked at, and how many of them removed: nobody waits for long because of others' files.
    private static let mostExamined = 65_536
    private static let mostRemoved = 256

    private static func removeAbandoned(for path: String) {
        let (parent, name) = TemporaryName.split(path)
        guard let directory = try? OpenFile.open("\(parent)./", O_RDONLY | O_DIRECTORY) else { return }
        removeAbandoned(in: directory, prefix: TemporaryName.prefix(for: name.utf8))
    }

    /// Removes the entries of `directory` that begin with `prefix` and that nobody fills any more.
    ///
    /// Best effort: what cannot be listed, opened, locked or removed stays.
    package static func removeAbandoned(in directory: OpenFile, prefix: String) {
        var names: [FileName] = []
        var examined = 0
        try? directory.forEachEntry { name, _ in
            examined += 1
            if name.bytes.starts(with: prefix.utf8) { names.append(name) }
            return examined < mostExamined && names.count < mostRemoved
        }
        for name in names { try? removeIfAbandoned(name, in: directory) }
    }

    private static func removeIfAbandoned(_ name: FileName, in directory: OpenFile) throws {
        // Only what we make, and our own: opening a device does things, and other users' files are none of our business.
        guard let status = try directory.statusOfEntry(name), geteuid() == 0 || status.st_uid == geteuid() else {
            return
        }
        let isDirectory = status.st_mode & S_IFMT == S_IFDIR
        guard isDirectory || status.st_mode & S_IFMT == S_IFREG else { return }
        let file = try directory.openEntry(name, O_RDONLY | O_NONBLOCK)
        guard flock(file.descriptor, LOCK_EX | LOCK_NB) == 0 else { return }
        // It may have got its real name, and its temporary name may be another's, until it was locked.
        guard let now = try directory.statusOfEntry(name), try file.status().isSameFile(as: now) else { return }
        if isDirectory { try file.removeContents() }
        _ = name.withCString { unlinkat(directory.descriptor, $0, isDirectory ? AT_REMOVEDIR : 0) }
    }
}

extension stat {
    fileprivate func isSameFile(as other: stat) -> Bool { st_dev == other.st_dev && st_ino == other.st_ino }
}
