/// The decision about the chunk that eviction looks at.
package enum EvictionVerdict: Equatable, Sendable {
    case evict
    /// It becomes the newest of `queue`, and counts as read `frequency` times.
    case keep(StoreQueue, frequency: UInt8)
}
