package import CacheCore
internal import CacheDevice
internal import CacheFiles

/// The files of a worker: its socket, and beside it a directory of the socket's name without `.sock`.
///
/// One worker at a time has the place. Its lock is an open file that its processes hand on, so that it is held for as
/// long as any of them lives.
package struct WorkerPlace: Sendable {
    package let socket: String
    /// Has all but the socket; for its owner alone.
    package let directory: String
    /// The log of a worker that a verb has started; stays when it ends.
    package let log: String
    /// Where mounts that can be written to keep what is written.
    package let scratch: String

    package init(socket: String, scratch: String? = nil) {
        self.socket = socket
        let name = socket.hasSuffix(".sock") ? String(socket.dropLast(5)) : nil
        directory = name ?? "\(socket).d"
        log = "\(name ?? socket).log"
        self.scratch = scratch ?? "\(directory)/scratch"
    }

    /// The FUSE filesystem with a file for each open image.
    package var devices: String { "\(directory)/devices" }
    /// The table of mounts.
    package var table: String { "\(directory)/mounts.json" }
    /// What was agreed with the kernel about FUSE.
    package var session: String { "\(directory)/fuse.json" }
    /// Whether a process can take over FUSE from the one before.
    package var hasSession: Bool { FileStatus.find(session) != nil }
    private var lock: String { "\(directory)/lock" }

    /// - Throws: `.io` in a process that cannot mount anything: nothing needs to be made then.
    package static func checkRights() throws(CacheError) {
        guard !CurrentProcess.canMount else { return }
        throw CacheError(
            .io,
            "mounting images needs root, in a container CAP_SYS_ADMIN as well: run it as root (sudo), or show the image"
                + " with layercache nbd, which needs neither")
    }

    /// Others may take the directory away between its making and its locking, as often as this.
    private static let attempts = 100

    /// Makes the place and takes it; the file holds it until the last copy of it is closed.
    ///
    /// - Throws: `.conflict` if another worker has it; `.invalidInput` for a directory that others may write to.
    package func take() throws -> OpenFile {
        for _ in 0..<Self.attempts {
            try DirectoryPath.make(directory, mode: 0o700, isDurable: false)
            try checkOwner()
            let file = try OpenFile.open(lock, [.readWrite, .create, .noFollow], mode: 0o600)
            guard try isFree(file) else {
                throw CacheError(.conflict, "a worker runs already at \(socket): use it, or stop it first")
            }
            // The one before may have removed it, as the last thing that it did.
            let status = try file.status()
            if let named = FileStatus.find(lock), named.identity == status.identity { return file }
        }
        throw CacheError(.conflict, "others remove the lock \(lock) at once, every time")
    }

    /// Whether a worker has the place now: one that starts, serves, or starts again.
    package var isTaken: Bool {
        guard let file = try? OpenFile.open(lock, [.readWrite, .noFollow]) else { return false }
        return (try? FileLock.attempt(file.descriptor, .shared, path: lock)) == false
    }

    /// How long those may take who only look whether it is locked.
    private static let patience = Duration.milliseconds(300)

    private func isFree(_ file: OpenFile) throws -> Bool {
        try FileLock.take(file.descriptor, path: lock, within: Self.patience)
    }

    /// Who can write here could put files under the worker's hands.
    private func checkOwner() throws(CacheError) {
        guard let status = FileStatus.find(directory), status.kind == .directory else {
            throw CacheError(.invalidInput, "\(directory) is no directory: choose another --socket")
        }
        guard status.userID == CurrentProcess.user, status.permissions & 0o022 == 0 else {
            throw CacheError(
                .invalidInput, "\(directory) is not this user's alone: choose another --socket, or chmod go-w it")
        }
    }

    // MARK: What dead workers left

    /// Removes all that a worker left that died together with its FUSE connection: its mounts can never be read again.
    ///
    /// To be called by who has the place.
    /// - Returns: the directories that were detached.
    package func clear() throws -> [String] {
        var detached: [String] = []
        for target in try MountedImages(devices: devices, scratch: scratch).targets {
            try detach(target)
            if !target.hasPrefix("\(scratch)/") { detached.append(target) }
        }
        while try SystemMount.entry(at: devices) != nil { try detach(devices) }
        try removeAll(but: ["lock"])
        return detached
    }

    /// Removes the place, the socket included: there is nothing mounted any more. Best effort, as the last thing that a
    /// worker does.
    package func remove() {
        try? removeAll(but: ["lock"])
        let here = Descriptor.workingDirectory
        here.removeIfPossible(lock)
        try? here.removeDirectory(directory)
    }

    private func removeAll(but kept: Set<String>) throws {
        Descriptor.workingDirectory.removeIfPossible(socket)
        let scratchParent = DirectoryPath.parent(of: scratch)
        if scratchParent != directory, let parent = try? OpenFile.open(scratchParent, .directory),
            let name = scratch.split(separator: "/").last
        {
            try parent.removeEntry(FileName(name))
        }
        let place = try OpenFile.open(directory, .directory)
        for name in try place.entryNames(atMost: 65_536) where !kept.contains(name.description) {
            try place.removeEntry(name)
        }
    }

    private func detach(_ target: String) throws(CacheError) {
        try reporting("detach \(target)") { () throws(Errno) in
            try SystemMount.unmount(target, flags: [.detach, .noFollow])
        }
    }
}
