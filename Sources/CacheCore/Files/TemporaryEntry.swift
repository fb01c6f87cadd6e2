internal import CacheBase

/// A file or directory that is filled under a temporary name, locked while it is filled.
///
/// The lock goes with the process. So what is not locked was left by one that was killed, and the next pull to the same
/// destination removes it.
package struct TemporaryEntry: Sendable {
    /// Below the directory that it was made in; a path if that was not given.
    package let name: String
    /// Open and locked (`flock`). A filesystem without locks does without: then nothing is ever taken for abandoned
    /// either.
    package let file: OpenFile
    /// The one that it was made in; `nil` if `name` is a path.
    private let directory: OpenFile?
    private let isDirectory: Bool

    /// A new file beside `path`, after what others left there for it was removed.
    package static func file(for path: String, mode: UInt32) throws -> TemporaryEntry {
        removeAbandoned(for: path)
        return try makeFile(in: nil, mode: mode, path: path) { TemporaryName.beside(path) }
    }

    /// A new directory beside `path`, after what others left there for it was removed.
    package static func directory(for path: String) throws -> TemporaryEntry {
        removeAbandoned(for: path)
        return try makeDirectory(in: nil, path: path) { TemporaryName.beside(path) }
    }

    /// A new file in `directory`, which is to be called `name`.
    package static func file(in directory: OpenFile, for name: String, mode: UInt32) throws -> TemporaryEntry {
        try makeFile(in: directory, mode: mode, path: "\(directory.name)/\(name)") {
            TemporaryName.unique(TemporaryName.insidePrefix)
        }
    }

    /// A new directory in `directory`.
    package static func directory(in directory: OpenFile) throws -> TemporaryEntry {
        try makeDirectory(in: directory, path: directory.name) { TemporaryName.unique(TemporaryName.insidePrefix) }
    }

    // MARK: Its end

    /// Gives it its own name in the directory that it was made in (a path if it was made beside one), in place of what
    /// has that name.
    package func rename(to newName: String) throws(Errno) {
        let place = Self.place(directory)
        try place.rename(name, to: place, newName)
    }

    /// Removes it under its temporary name; a directory must be empty.
    package func remove() throws(Errno) {
        let place = Self.place(directory)
        if isDirectory { try place.removeDirectory(name) } else { try place.remove(name) }
    }

    /// The same after a failure, which is the one to report. What cannot be removed, the next pull to the same
    /// destination removes.
    package func discard() {
        do throws(Errno) { try remove() } catch {}
    }

    // MARK: Making one

    private static func place(_ directory: OpenFile?) -> Descriptor {
        directory?.descriptor ?? .workingDirectory
    }

    private static func makeFile(
        in directory: OpenFile?, mode: UInt32, path: String, name: () -> String
    ) throws -> TemporaryEntry {
        try make(in: directory, isDirectory: false, path: path, name: name) { place, name throws(Errno) in
            try place.open(name, .newFile, mode: mode)
        }
    }

    private static func makeDirectory(
        in directory: OpenFile?, path: String, name: () -> String
    ) throws -> TemporaryEntry {
        try make(in: directory, isDirectory: true, path: path, name: name) { place, name throws(Errno) in
            try place.makeDirectory(name, mode: 0o755)
            return try place.open(name, .subdirectory)
        }
    }

    /// Between making and locking, another one may take the entry for an abandoned one and remove it: then it is made
    /// again.
    private static func make(
        in directory: OpenFile?, isDirectory: Bool, path: String, name: () -> String,
        create: (Descriptor, String) throws(Errno) -> Descriptor
    ) throws -> TemporaryEntry {
        let place = place(directory)
        for _ in 0..<100 {
            let name = name()
            let descriptor: Descriptor
            do throws(Errno) {
                descriptor = try create(place, name)
            } catch {
                // `alreadyExists` by a chance of one in 2^64; `noSuchFile` also where there is no such directory, or no
                // more.
                if error == .alreadyExists || error == .noSuchFile && hasDirectory(path) { continue }
                throw CacheError.system("write \(path)", error)
            }
            let file = OpenFile(adopting: descriptor, name: path)
            if isTaken(file) { continue }
            let entry = TemporaryEntry(name: name, file: file, directory: directory, isDirectory: isDirectory)
            if try isNamed(entry, in: place) { return entry }
        }
        throw CacheError(.conflict, "write \(path): others remove the temporary file at once, every time")
    }

    /// Whether the directory that `path` is in still has a name.
    private static func hasDirectory(_ path: String) -> Bool {
        let (parent, _) = TemporaryName.split(path)
        return FileStatus.find("\(parent)./").map { $0.linkCount > 0 } ?? false
    }

    /// Locks the entry; true if another process holds the lock.
    private static func isTaken(_ file: OpenFile) -> Bool {
        do throws(Errno) { return try !FileLock.attempt(file.descriptor, .exclusive) } catch { return false }
    }

    private static func isNamed(_ entry: TemporaryEntry, in place: Descriptor) throws -> Bool {
        let own = try entry.file.status().identity
        do throws(Errno) { return try place.status(of: entry.name).identity == own } catch { return false }
    }

    // MARK: What killed ones left

    /// How many entries of a directory are looked at, and how many of them removed: a pull does not wait for long
    /// because of others' files.
    private static let mostExamined = 65_536
    private static let mostRemoved = 256

    private static func removeAbandoned(for path: String) {
        let (parent, name) = TemporaryName.split(path)
        guard let directory = try? OpenFile.open("\(parent)./", .directory) else { return }
        removeAbandoned(in: directory, prefix: TemporaryName.prefix(for: name.utf8))
    }

    /// Removes the entries of `directory` that begin with `prefix` and that are not being filled any more.
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
        // Only what we make, and our own: opening a device does things, and other users' files are none of our
        // business.
        guard let status = try directory.statusOfEntry(name), status.isOurs else { return }
        guard [.directory, .regular].contains(status.kind) else { return }
        let file = try directory.openEntry(name, .nonBlocking)
        guard try FileLock.attempt(file.descriptor, .exclusive) else { return }
        // It may have got its real name, and its temporary name may be another's, until it was locked.
        guard let now = try directory.statusOfEntry(name), try file.status().identity == now.identity else { return }
        guard status.kind == .directory else { return try directory.descriptor.remove(name) }
        try file.removeContents()
        try directory.descriptor.removeDirectory(name)
    }
}
