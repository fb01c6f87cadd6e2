import Glibc

/// Waits until `condition` holds: a state of files or of other processes, which tell nobody when it comes.
///
/// - Parameter patience: seconds after which a run is taken for broken; no test's outcome depends on it otherwise.
func eventually(
    _ what: @autoclosure () -> String, patience: Double = ChildProcess.patience, _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + .seconds(patience)
    while try await !condition() {
        guard ContinuousClock.now < end else {
            throw ChildProcess.TookTooLong(description: "after \(patience) s there was still not \(what())")
        }
        // A pause for those who are waited for.
        try await Task.sleep(for: .milliseconds(1))
    }
}
