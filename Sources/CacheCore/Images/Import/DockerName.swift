/// The names of images as docker abbreviates them.
enum DockerName {
    /// Docker's short names in full: `busybox` is `docker.io/library/busybox:latest`.
    static func canonical(_ name: String) -> String {
        var parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let hasHost = parts.count > 1 && (parts[0].contains(".") || parts[0].contains(":") || parts[0] == "localhost")
        if !hasHost { parts.insert("docker.io", at: 0) }
        if parts[0] == "docker.io", parts.count == 2 { parts.insert("library", at: 1) }
        if let last = parts.last, !last.contains(":") { parts[parts.count - 1] = last + ":latest" }
        return parts.joined(separator: "/")
    }
}
