package import CacheCore
package import CacheFiles

/// Shows images' devices as directories, with mount(2) alone.
package final class ImageMounter: Sendable {
    /// Where a mount that can be written to keeps what is its own.
    package struct Scratch: Sendable, Hashable {
        /// The mount's own directory; made by it, and removed with it.
        package let directory: String

        package init(directory: String) { self.directory = directory }

        /// The image itself, which the overlay lies above.
        package var lower: String { "\(directory)/lower" }
        var upper: String { "\(directory)/upper" }
        var work: String { "\(directory)/work" }
    }

    private let threads: MountThreads

    /// - Parameters:
    ///   - namespace: that mounts are made in; all paths are those of files there.
    ///   - deadline: how long one mount or unmount may take.
    package init(in namespace: MountNamespace = .own, deadlines: Deadlines, deadline: Duration = .seconds(60)) {
        threads = MountThreads(in: namespace, deadlines: deadlines, deadline: deadline)
    }

    package func close() { threads.close() }

    /// The directory of a path as the kernel writes it; it may lie in a mount of our own.
    ///
    /// - Throws: `.invalidInput` for what is no directory.
    package func resolve(_ path: String) async throws -> String {
        try await threads.run("finding \(path)") { try DirectoryPath.resolved(path) }
    }

    /// What is mounted of the devices of a place, as the kernel's table has it now.
    package func mounted(devices: String, scratch: String) async throws -> MountedImages {
        try await threads.run("reading the table of mounts") { try MountedImages(devices: devices, scratch: scratch) }
    }

    // MARK: Mounting

    /// Mounts the image of `device`, a file, at `directory`; with a `scratch`, it can be written to.
    ///
    /// Nothing is left behind by a failure.
    package func mount(device: String, at directory: String, scratch: Scratch?) async throws {
        try await threads.run("mounting at \(directory)", undo: { Self.detach(directory, scratch) }) {
            guard let scratch else { return try ErofsMount.mount(device, at: directory) }
            do {
                try DirectoryPath.make(DirectoryPath.parent(of: scratch.directory), mode: 0o700, isDurable: false)
                for path in [scratch.directory, scratch.lower, scratch.upper, scratch.work] {
                    try reporting("make directory \(path)") { () throws(Errno) in
                        try Descriptor.workingDirectory.makeDirectory(path, mode: path == scratch.upper ? 0o755 : 0o700)
                    }
                }
                try ErofsMount.mount(device, at: scratch.lower)
                try OverlayMount.likeRoot(of: scratch.lower, scratch.upper)
                try OverlayMount.mount(
                    source: scratch.directory, lower: scratch.lower, upper: scratch.upper, work: scratch.work,
                    at: directory)
            } catch {
                Self.detach(nil, scratch)
                throw error
            }
        }
    }

    /// Unmounts what ``mount(device:at:scratch:)`` has mounted, and removes what was written.
    ///
    /// - Throws: `.conflict` while something uses the directory: nothing has changed then. What others have unmounted
    ///   already is no error.
    package func unmount(_ directory: String, scratch: Scratch?) async throws {
        try await threads.run("unmounting \(directory)") {
            do throws(Errno) {
                try SystemMount.unmount(directory, flags: .noFollow)
            } catch {
                if error == .busy {
                    throw CacheError(
                        .conflict, "\(directory) is in use: end the programs that use it (fuser -vm), then unmount it")
                }
                // Not a mount any more, or the directory is gone with it.
                guard error == .badArgument || error == .noSuchFile else {
                    throw CacheError.system("unmount \(directory)", error)
                }
            }
            Self.detach(nil, scratch)
        }
    }

    /// Takes a mount out of the tree whoever uses it.
    package func detach(_ directory: String, scratch: Scratch?) async throws {
        try await threads.run("detaching \(directory)") { Self.detach(directory, scratch) }
    }

    /// Removes what a mount that is gone had for itself.
    package func discard(_ scratch: Scratch?) async throws {
        try await threads.run("removing what was written") { Self.detach(nil, scratch) }
    }

    /// Best effort: it takes back what has failed or is of no use any more, and what is not mounted is no error.
    private static func detach(_ directory: String?, _ scratch: Scratch?) {
        for target in [directory, scratch?.lower].compactMap(\.self) {
            try? SystemMount.unmount(target, flags: [.detach, .noFollow])
        }
        guard let scratch else { return }
        // Never through a mount that is still there.
        guard (try? SystemMount.entry(at: scratch.lower)) == .some(.none),
            let parent = try? OpenFile.open(DirectoryPath.parent(of: scratch.directory), .directory),
            let name = scratch.directory.split(separator: "/").last
        else { return }
        try? parent.removeEntry(FileName(name))
    }
}
