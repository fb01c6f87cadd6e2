internal import CacheCore
internal import CacheFiles
internal import NIOConcurrencyHelpers
internal import NIOPosix

/// The table of mounts on disk, from which a new process knows what the one before served.
///
/// Replaced as a whole, and in its place before a mount is answered. It outlives the process and not the machine, with
/// which all mounts end.
package final class MountTable: Sendable {
    /// What is in the file.
    package struct Contents: Sendable, Codable, Equatable {
        /// Of the next device; numbers are used once, so that no file of one image is ever taken for another's.
        package var nextNumber: UInt64 = firstNumber
        package var mounts: [MountRecord] = []

        /// 1 is the root's.
        private static let firstNumber: UInt64 = 2
    }

    private static let limits = JSONLimits(bytes: 16 << 20, depth: 4)

    private let path: String
    private let latest: NIOLockedValueBox<Contents>
    /// One thread, so that what is written last is the latest.
    private let thread = NIOThreadPool(numberOfThreads: 1)

    /// Reads what is there. Blocks.
    package init(_ path: String) throws {
        self.path = path
        var contents = Contents()
        if FileStatus.find(path) != nil {
            let bytes = try OpenFile.open(path, .noFollow).wholeRange().readDocument(Self.limits)
            contents = try JSONDocument.decode(Contents.self, from: bytes, name: path, limits: Self.limits)
        }
        latest = NIOLockedValueBox(contents)
        thread.start()
    }

    package var contents: Contents { latest.withLockedValue { $0 } }

    /// Returns once these, or newer ones, are in the file.
    package func save(_ contents: Contents) async throws {
        latest.withLockedValue { $0 = contents }
        try await thread.runIfActive { [self] in
            try DurableFile.write(JSONDocument.encode(self.contents), to: path, outliving: .process)
        }
    }

    package func close() async throws { try await thread.shutdownGracefully() }
}
