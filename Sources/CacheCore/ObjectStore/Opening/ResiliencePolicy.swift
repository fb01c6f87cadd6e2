/// What is put around an object store so that its failures and its load stay bounded: see
/// ``ObjectStore/resilient(_:)``.
public struct ResiliencePolicy: Sendable, Hashable {
    /// A bound on the calls of one store.
    public struct Limit: Sendable, Hashable {
        /// Calls under way at once.
        public var concurrency: Int
        /// Calls that may wait; one more is refused with `.overloaded`.
        public var queue: Int

        public init(concurrency: Int, queue: Int) {
            self.concurrency = concurrency
            self.queue = queue
        }
    }

    /// Which calls are repeated; `nil` for none.
    public var retries: RetryPolicy?
    /// How many calls run at once; `nil` for as many as the store takes.
    public var limit: Limit?

    public init(retries: RetryPolicy?, limit: Limit?) {
        self.retries = retries
        self.limit = limit
    }

    /// Nothing: for a store on local files.
    public static let none = ResiliencePolicy(retries: nil, limit: nil)

    /// For a store behind a network: four attempts, 64 calls at once, 4,096 more in line.
    public static let network = ResiliencePolicy(
        retries: RetryPolicy(), limit: Limit(concurrency: 64, queue: 4096))
}

extension ObjectStore {
    /// This store with limits and retries around it, as `policy` says. A store that the policy asks nothing of is
    /// returned as it is.
    ///
    /// From the outside in: the limit, then the retries. So a call that waits for its next attempt keeps its place,
    /// which slows callers down while the store is in trouble; and a call that the limit refuses is not repeated.
    public func resilient(_ policy: ResiliencePolicy) -> any ObjectStore {
        var store: any ObjectStore = self
        if let retries = policy.retries { store = RetryingObjectStore(store, policy: retries) }
        if let limit = policy.limit {
            store = LimitedObjectStore(
                store, name: "calls of the object store", concurrency: limit.concurrency, queue: limit.queue)
        }
        return store
    }
}
