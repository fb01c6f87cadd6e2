public import CacheBase
public import NIOCore

/// What L3 must be able to do: the part of S3's semantics that this project needs, and no more.
///
/// There is no rename, no append and no directory. An object is visible whole or not at all, and once a call that
/// writes has returned, what it wrote survives a crash of this process, of the store and of the machine.
/// Every call may take as long as the medium takes; callers bound it with a deadline of their own.
/// All errors are ``CacheError`` and name the object; a caller that is cancelled may get a `CancellationError`.
///
/// A store behind a network is given limits and retries with ``resilient(_:)``.
public protocol ObjectStore: Sendable {
    /// The whole object and its version; `nil` if there is none.
    /// - Throws: `.limitExceeded` if it is longer than `limit` bytes (nothing is read then).
    func get(_ key: ObjectKey, limit: Int) async throws -> StoredObject?

    /// The bytes of an object from `range.lowerBound` up to, not including, `range.upperBound`, cut at its end; `nil`
    /// if there is no object.
    func get(_ key: ObjectKey, range: Range<Int>) async throws -> ByteBuffer?

    /// Size and version of an object without its bytes; `nil` if there is none.
    func head(_ key: ObjectKey) async throws -> ObjectInfo?

    /// Writes the object unless one of that name is there already.
    func putIfAbsent(_ key: ObjectKey, _ body: ByteBuffer) async throws -> PutOutcome

    /// Compare-and-swap: writes the object if its version is still `expected` (`nil`: if there is none).
    /// - Returns: the new version, or `nil` if the version was another one; nothing is written then.
    func replace(_ key: ObjectKey, _ body: ByteBuffer, expecting expected: ObjectVersion?) async throws
        -> ObjectVersion?

    /// Deletes the object; deleting what is not there is no error.
    func delete(_ key: ObjectKey) async throws

    /// One page of names in byte order.
    /// - Parameters:
    ///   - prefix: only names that begin with it.
    ///   - delimiter: if true, names that have a `/` after the prefix are folded into ``ObjectPage/prefixes``, each
    ///     once.
    ///   - after: only names (and prefixes) that come after this one.
    ///   - limit: the most names and prefixes in the page: 1 to 1,000.
    func list(prefix: String, delimiter: Bool, after: String?, limit: Int) async throws -> ObjectPage
}
