import TestSupport

extension Daemon {
    /// A daemon with its store and its output in the directory of a test.
    convenience init(
        _ bench: Workbench, store: String = "l2", capacity: String = "1GiB", memory: String = "8MiB",
        options: [String] = []
    ) async throws {
        try await self.init(
            store: bench(store), capacity: capacity, memory: memory, options: options, in: bench(".out"))
    }
}
