internal import CacheBase
internal import CacheFiles
internal import NIOConcurrencyHelpers
internal import Synchronization

/// One open directory of a ``FileObjectStore``, and what is known about the durability of the names in it.
///
/// A name becomes durable by an fsync of its directory. Threads that need one at the same time share it: those that
/// come while one runs wait for it, and the first of them runs one for all.
final class ObjectDirectory: Sendable {
    private let file: OpenFile
    private let identity: FileStatus.Identity?
    private let now: @Sendable () -> Moment
    /// How many fsyncs have begun.
    let begun = Atomic<UInt64>(0)
    /// Held for as long as an fsync runs.
    private let completed = NIOLockedValueBox(Completed())

    /// A moment by two clocks, in nanoseconds.
    struct Moment: Sendable {
        /// By the time of day, which gives files their times, and can be set.
        var fileTime: Int64
        /// By a clock that is never set.
        var monotonic: Int64

        static func now() -> Moment { Moment(fileTime: SystemClock.now(), monotonic: SystemClock.monotonic()) }

        /// Whether the time of day was set between two moments: a file may then be younger than its time says. What is
        /// less than half a second is no more than a pause between two questions.
        func isSetOtherwise(than other: Moment) -> Bool {
            let drift = (fileTime &- other.fileTime) &- (monotonic &- other.monotonic)
            return drift.magnitude > 500_000_000
        }
    }

    private struct Completed {
        var count: UInt64 = 0
        /// When the last one began; `nil` before the first.
        var beganAt: Moment?
        /// The kernel tells of a failed write-back once, and says nothing of it when it is asked again: so one failure
        /// is final.
        var failure: Errno?
    }

    /// - Parameter now: the clocks by which names are older than an fsync.
    init(_ file: OpenFile, now: @escaping @Sendable () -> Moment = Moment.now) {
        self.file = file
        self.now = now
        do throws(Errno) { identity = try file.descriptor.status().identity } catch { identity = nil }
    }

    var descriptor: Descriptor { file.descriptor }

    /// Makes every name that is in the directory now survive a crash. Blocks for one fsync, or for two that others
    /// began.
    func sync() throws(Errno) {
        let needed = begun.load(ordering: .sequentiallyConsistent) + 1
        let failure = completed.withLockedValue { completed -> Errno? in
            if completed.failure != nil || completed.count >= needed { return completed.failure }
            let turn = begun.add(1, ordering: .sequentiallyConsistent).newValue
            let began = now()
            do throws(Errno) {
                try descriptor.sync()
            } catch {
                completed.failure = error
                return error
            }
            completed.count = turn
            completed.beganAt = began
            return nil
        }
        if let failure { throw failure }
    }

    /// As ``sync()``, for a name that another process may have made: costs nothing if an fsync of ours began after
    /// that, and the time of day was not set since.
    ///
    /// - Parameter changed: when the status of the file changed last, which is no sooner than it got its name.
    func sync(nameMadeAt changed: Int64) throws(Errno) {
        // File times come from a clock that ticks every few milliseconds: a second is far on the safe side.
        let isDurable = completed.withLockedValue { completed in
            guard completed.failure == nil, let beganAt = completed.beganAt, !now().isSetOtherwise(than: beganAt)
            else { return false }
            return changed < beganAt.fileTime - 1_000_000_000
        }
        if !isDurable { try sync() }
    }

    /// Whether the directory is still what `name` in `parent` is. One that was removed or moved away keeps working for
    /// those who have it open.
    func isStill(_ name: String, in parent: ObjectDirectory) -> Bool {
        identity != nil && parent.status(of: name)?.identity == identity
    }

    /// Whether the directory is still what `path` is.
    func isStill(at path: String) -> Bool {
        let status: FileStatus
        do throws(Errno) {
            status = try Descriptor.workingDirectory.status(of: path, followingLinks: true)
        } catch { return false }
        return identity != nil && status.identity == identity
    }

    /// All entries, in no order.
    func entries() throws(CacheError) -> [(name: String, kind: FileStatus.Kind)] { try file.namedEntries() }

    /// What an entry is, itself and not what it may point to; `nil` if that cannot be found out.
    func kind(of name: String) -> FileStatus.Kind? { status(of: name)?.kind }

    /// The status of an entry, itself and not what it may point to; `nil` if that cannot be found out.
    func status(of name: String) -> FileStatus? {
        do throws(Errno) { return try descriptor.status(of: name) } catch { return nil }
    }
}
