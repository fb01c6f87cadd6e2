/// What a call of an ``ObjectStore`` does, one case for each of its functions.
public enum ObjectOperation: String, Sendable, Hashable, CaseIterable {
    case get
    /// `get` of a range of bytes.
    case getRange
    case head
    case putIfAbsent
    case replace
    case delete
    case list

    /// Whether the same call may be made again when it is not known whether the first one was carried out.
    ///
    /// A repeated `replace` would find the version that it wrote itself and report that it lost; a repeated `delete`
    /// could remove what another writer has put there in between. A repeated `putIfAbsent` leaves the same object, but
    /// may answer `.alreadyPresent` for one that the first call wrote.
    package var isRepeatable: Bool {
        switch self {
        case .get, .getRange, .head, .putIfAbsent, .list: true
        case .replace, .delete: false
        }
    }
}

/// One call of an ``ObjectStore`` as its decorators see it.
public struct ObjectCall: Sendable, Hashable {
    /// Which function is called.
    public let operation: ObjectOperation
    /// The object's key; for a list, the prefix.
    public let name: String
    /// Bytes that the call sends to the store: the size of the body that it writes, else 0.
    public let sentBytes: Int

    /// A call of `operation` on the object or prefix `name`.
    public init(_ operation: ObjectOperation, _ name: String, sentBytes: Int = 0) {
        self.operation = operation
        self.name = name
        self.sentBytes = sentBytes
    }
}
