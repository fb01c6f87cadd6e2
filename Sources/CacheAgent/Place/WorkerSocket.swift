/// Where the worker of a host listens.
public enum WorkerSocket {
    /// The path that all verbs use unless they are told another one: for root that of the host, else the user's own.
    ///
    /// - Parameters:
    ///   - isRoot: whether the process runs as root.
    ///   - runtimeDirectory: `XDG_RUNTIME_DIR`, if it is set.
    /// - Returns: `nil` for a user without a runtime directory, who must name a path.
    public static func standardPath(isRoot: Bool, runtimeDirectory: String?) -> String? {
        if isRoot { return "/run/layercache/worker.sock" }
        guard let runtimeDirectory, !runtimeDirectory.isEmpty else { return nil }
        return "\(runtimeDirectory)/layercache/worker.sock"
    }
}
