/// What a test waited for did not come.
package struct TookTooLong: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// Waits until `condition` holds: a state of files or of other processes, which send no notice when it comes. Looks
/// every millisecond.
///
/// - Parameter patience: seconds after which a run is taken for broken; no test's outcome depends on it otherwise.
package func eventually(
    _ what: @autoclosure () -> String, patience: Double = ChildProcess.patience, _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + .seconds(patience)
    while try await !condition() {
        guard ContinuousClock.now < end else { throw TookTooLong("after \(patience) s there was still not \(what())") }
        // Gives the processor to those who are waited for.
        try await Task.sleep(for: .milliseconds(1))
    }
}
