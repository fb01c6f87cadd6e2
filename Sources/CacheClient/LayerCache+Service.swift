public import ServiceLifecycle

/// A cache among the services of an agent: a `ServiceGroup` that runs it closes it as well.
extension LayerCache: Service {
    /// Waits for the group's graceful shutdown, or for cancellation, and closes the cache then, as ``close()`` does.
    /// List it before the services that read from it: a group shuts down in reverse order.
    /// - Throws: what ``close()`` throws.
    public func run() async throws {
        // Cancelled: the group ends at once, and what was read should still reach the upper tiers.
        try? await gracefulShutdown()
        try await close()
    }
}
