/// How often an object store was called since it was opened, with what bytes, and how long that took, by operation.
public struct ObjectStoreStatistics: Sendable, Hashable {
    /// The calls of one operation.
    public struct Counts: Sendable, Hashable {
        /// Calls that have begun, those under way included.
        public var calls = 0
        /// Calls that ended with an error; a miss is none, and neither is a call whose caller was cancelled.
        public var failures = 0
        /// Calls that have not ended yet.
        public var underWay = 0
        /// Bytes of bodies that were read or written by calls that succeeded.
        public var bytes = 0
        /// How long the calls that have ended took together: of calls at the same time, each counts.
        public var time = Duration.zero

        public init() {}
    }

    /// Without operations of which all numbers are zero, so that equal statistics are equal values.
    private var counts: [ObjectOperation: Counts] = [:]

    public init() {}

    /// The calls of one operation; all zero if there was none.
    public subscript(operation: ObjectOperation) -> Counts {
        get { counts[operation] ?? Counts() }
        set { counts[operation] = newValue == Counts() ? nil : newValue }
    }
}
