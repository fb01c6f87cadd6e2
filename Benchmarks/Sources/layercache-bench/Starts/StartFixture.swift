import Foundation

/// An image that was pushed once, and an L2 that holds all of it.
final class StartFixture {
    let image: StartImage
    let workspace: Workspace
    let deployment: Deployment
    let ref: String
    let l3: String
    /// What `pull dir:` took with L2 warm and no L1.
    let usage: Child.Usage
    /// What the unpacked tree takes on disk.
    let treeBytes: Double
    /// The tree that the pull made: for programs that start from it, and for a local EROFS file.
    let tree: String
    private let warm: Daemon

    init(_ image: StartImage, _ workspace: Workspace, _ deployment: Deployment) throws {
        self.image = image
        self.workspace = workspace
        self.deployment = deployment
        ref = "bench/\(image.name):1"
        l3 = workspace.fresh("start-l3")
        _ = try deployment.push("oci:\(image.source)", as: ref, to: l3)
        warm = try Daemon.layercache(workspace, store: workspace.fresh("start-l2"), memory: "2GiB", threads: 2)
        let options = ["--l2", warm.url, "--l3", l3, "--keyring", deployment.keyring, "--json"]
        let pull = ["pull", ref]
        // One file, so that removing it costs whoever comes next nothing (Workspace).
        let filling = workspace.fresh("filling")
        _ = try workspace.layercache(pull + ["oci-archive:\(filling)"] + options)
        try FileManager.default.removeItem(atPath: filling)
        tree = workspace.fresh("tree")
        usage = try workspace.layercache(pull + ["dir:\(tree)"] + options).usage
        let du = try workspace.start([installed("du") ?? "du", "--summarize", "--block-size=1", tree])
        _ = try du.success()
        treeBytes = Double(du.output.split(whereSeparator: \.isWhitespace).first ?? "0") ?? 0
    }

    /// Runs `body` with an L2 that has every chunk of the image, or none.
    func withL2<R>(isWarm: Bool, _ body: (Daemon) throws -> R) throws -> R {
        if isWarm { return try body(warm) }
        let cold = try Daemon.layercache(workspace, store: workspace.fresh("cold-l2"), memory: "2GiB", threads: 2)
        defer { cold.stop() }
        return try body(cold)
    }

    /// Leaves a trace of the program's start in L3.
    func recordTrace() throws {
        let options = ["--l2", warm.url, "--l3", l3, "--keyring", deployment.keyring]
        let worker = try Worker(workspace, l1: workspace.fresh("trace-l1"), l2: warm, deployment, l3: l3)
        do {
            defer { worker.stop() }
            let directory = workspace.fresh("mount")
            _ = try worker.mount(ref, at: directory, prefetch: .none)
            defer { Host.unmount(directory) }
            _ = try workspace.firstOutput(image.command(in: directory))
            try worker.unmount(directory)
        }
        _ = try workspace.layercache(["trace", ref, "--show"] + options)
    }

    func stop() { warm.stop() }
}
