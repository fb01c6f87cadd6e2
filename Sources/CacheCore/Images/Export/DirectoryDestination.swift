internal import CacheBase
package import CacheFiles
internal import Glibc
internal import NIOConcurrencyHelpers

/// `dir:DIR`: a directory that is empty or does not exist, and will hold the files of an image.
///
/// A new directory is filled under another name and gets its own when it is complete. An existing one may be a mount point, which cannot be
/// replaced: a directory inside of it is filled, and what is in there moves up at the end. Killed before that, a pull leaves nothing that
/// is in the way of the next one; killed while it moves up and sets modes and times, it leaves a directory that is not empty.
/// One that is abandoned or let go of without ``commit(_:)`` leaves nothing behind. Everything here blocks.
package final class DirectoryDestination: Sendable {
    private struct State {
        /// What stands in `existing` now.
        var movedUp: [FileName] = []
        var isFinished = false
    }

    private let path: String
    private let temporary: TemporaryEntry
    /// The directory that was there.
    private let existing: OpenFile?
    private let state = NIOLockedValueBox(State())

    /// Checks that the directory can be written, and makes one to fill. What a pull to the same place left when it was killed is removed.
    /// - Throws: ``CacheError`` `.invalidInput` or `.io` that says what is in the way.
    package init(_ path: String) throws {
        self.path = path
        var status = stat()
        if stat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw CacheError(.invalidInput, "\(path) is not a directory")
            }
            let directory = try OpenFile.open(path, O_RDONLY | O_DIRECTORY)
            TemporaryEntry.removeAbandoned(in: directory, prefix: TemporaryName.insidePrefix)
            guard try directory.isEmpty() else {
                throw CacheError(.invalidInput, "\(path) is not empty: name a directory that is, or a new one")
            }
            existing = directory
            temporary = try TemporaryEntry.directory(in: directory)
        } else {
            existing = nil
            temporary = try TemporaryEntry.directory(for: path)
        }
    }

    /// The directory to be filled.
    package var root: OpenFile { temporary.file }

    /// Puts what `writer` has written, all but what directories are like, under the destination's name.
    package func commit(_ writer: TreeWriter) throws {
        if let existing {
            try writer.finishDirectories { try self.moveUp(into: existing) }
        } else {
            try writer.finishDirectories()
            guard rename(temporary.name, path) == 0 else {
                if [ENOTEMPTY, EEXIST].contains(errno) { throw conflict(path) }
                throw CacheError.system("rename to \(path)")
            }
        }
        state.withLockedValue { $0.isFinished = true }
    }

    private func conflict(_ path: String) -> CacheError {
        CacheError(.conflict, "\(path) was made by somebody else while the image was pulled: name another directory")
    }

    private func moveUp(into directory: OpenFile) throws -> OpenFile {
        for name in try temporary.file.entryNames(atMost: Int.max) {
            guard try directory.statusOfEntry(name) == nil else {
                throw conflict("\(path)/\(name)")
            }
            try retryingInterrupts("rename to \(path)/\(name)") {
                name.withCString { renameat(temporary.file.descriptor, $0, directory.descriptor, $0) }
            }
            state.withLockedValue { $0.movedUp.append(name) }
        }
        try retryingInterrupts("remove \(path)/\(temporary.name)") {
            unlinkat(directory.descriptor, temporary.name, AT_REMOVEDIR)
        }
        return directory
    }

    deinit { abandon() }

    /// Removes all that was written, unless it was committed. Nobody may write to it any more.
    package func abandon() {
        let state = state.withLockedValue { state in
            defer { state.isFinished = true }
            return state
        }
        guard !state.isFinished else { return }
        // Best effort: the error that led here is the one to report.
        for name in state.movedUp { try? existing?.removeEntry(name) }
        try? temporary.file.removeContents()
        unlinkat(existing?.descriptor ?? AT_FDCWD, temporary.name, AT_REMOVEDIR)
    }
}
