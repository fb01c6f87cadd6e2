internal import CacheBase
package import CacheFiles
internal import NIOConcurrencyHelpers

/// `dir:DIR`: a directory that is empty or does not exist, and will hold the files of an image.
///
/// A new directory is filled under another name and gets its own when it is complete. An existing one may be a mount
/// point, which cannot be replaced: a directory inside of it is filled, and what is in there moves up at the end.
/// Killed before that, a pull leaves nothing that is in the way of the next one; killed while it moves up and sets
/// modes and times, it leaves a directory that is not empty. One that is abandoned or let go of without ``commit(_:)``
/// leaves nothing behind. Everything here blocks.
package final class DirectoryDestination: Sendable {
    private struct State {
        /// The names that were moved up into `existing`.
        var movedUp: [FileName] = []
        var isFinished = false
    }

    private let path: String
    private let temporary: TemporaryEntry
    /// The directory that was there before; `nil` if there was none.
    private let existing: OpenFile?
    private let state = NIOLockedValueBox(State())

    /// Checks that the directory can be written, and makes one to fill. What a pull to the same place left when it was
    /// killed is removed.
    /// - Throws: ``CacheError`` `.invalidInput` or `.io` that says what is in the way.
    package init(_ path: String) throws {
        self.path = path
        if let status = FileStatus.find(path) {
            guard status.kind == .directory else { throw CacheError(.invalidInput, "\(path) is not a directory") }
            let directory = try OpenFile.open(path, .directory)
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

    /// Puts what `writer` has written under the destination's name, and has it set the attributes of the directories.
    package func commit(_ writer: TreeWriter) throws {
        if let existing {
            try writer.finishDirectories { try self.moveUp(into: existing) }
        } else {
            try writer.finishDirectories()
            do throws(Errno) {
                try temporary.rename(to: path)
            } catch {
                if error == .directoryNotEmpty || error == .alreadyExists { throw conflict(path) }
                throw CacheError.system("rename to \(path)", error)
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
            try reporting("rename to \(path)/\(name)") { () throws(Errno) in
                try temporary.file.descriptor.rename(name, to: directory.descriptor, name)
            }
            state.withLockedValue { $0.movedUp.append(name) }
        }
        try reporting("remove \(path)/\(temporary.name)") { () throws(Errno) in try temporary.remove() }
        return directory
    }

    deinit { abandon() }

    /// Removes all that was written, unless it was committed. It must not be written to any more.
    package func abandon() {
        let state = state.withLockedValue { state in
            defer { state.isFinished = true }
            return state
        }
        guard !state.isFinished else { return }
        // Best effort: the error that led here is the one to report.
        for name in state.movedUp { try? existing?.removeEntry(name) }
        try? temporary.file.removeContents()
        temporary.discard()
    }
}
