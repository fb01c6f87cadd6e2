import Foundation

/// One file of an image's content on the local disk, in an EROFS file beside it, and pushed as an image with an L2 that
/// holds all of it.
final class DeviceFixture {
    let workspace: Workspace
    let byteCount: Int
    /// The file on the file system of the scratch directory.
    let plain: String
    /// The same file in an EROFS file on that file system, mounted; `nil` without mkfs.erofs.
    let local: String?
    private let localMount: String
    private let deployment: Deployment
    private let l3: String
    private let l2: Daemon
    private let ref = "bench/device:1"

    init(_ context: Context) throws {
        workspace = context.workspace
        let directory = try workspace.freshDirectory("device")
        plain = "\(directory)/data"
        let limit = workspace.quick ? 64 << 20 : 1 << 30
        // Whole chunks, so that each first touch is one of a chunk that is stored.
        let tars = try context.image().tars
        let bytes = min(limit, Int(try context.image().byteCount)) / ChunkSample.chunkBytes * ChunkSample.chunkBytes
        byteCount = bytes
        try workspace.run(
            ["/bin/sh", "-c", "cat \"$@\" | head -c \(bytes) > \"$0\"", plain] + tars)
        let tar = workspace.fresh("device.tar")
        try workspace.run([
            installed("tar") ?? "tar", "--create", "--file", tar, "--directory", directory, "./data",
        ])
        deployment = try Deployment(workspace)
        l3 = workspace.fresh("device-l3")
        _ = try deployment.push("tar:\(tar)", as: ref, to: l3)
        localMount = workspace.fresh("device-local")
        if let mkfs = installed("mkfs.erofs") {
            let file = workspace.fresh("device.erofs")
            try workspace.run([mkfs, "--quiet", file, directory])
            try Host.mountErofs(file, at: localMount)
            local = "\(localMount)/data"
        } else {
            local = nil
        }
        l2 = try Daemon.layercache(workspace, store: workspace.fresh("device-l2"), memory: "1GiB", threads: 2)
        let filling = workspace.fresh("filling")
        _ = try workspace.layercache([
            "pull", ref, "tar:\(filling)", "--l2", l2.url, "--l3", l3, "--keyring", deployment.keyring, "--json",
        ])
        try FileManager.default.removeItem(atPath: filling)
        try FileManager.default.removeItem(atPath: tar)
    }

    /// The image mounted by a new worker over `l1`, whose memory is empty; unmounted at the end.
    func mounted<R>(l1: String, _ body: (MountedFile) throws -> R) throws -> R {
        let worker = try Worker(workspace, l1: l1, l2: l2, deployment, l3: l3)
        defer { worker.stop() }
        let directory = workspace.fresh("mount")
        _ = try worker.mount(ref, at: directory, prefetch: .none)
        defer { Host.unmount(directory) }
        let device = try worker.device(of: directory)
        let result = try body(
            MountedFile(path: "\(directory)/data", device: device.path, pid: device.pid, byteCount: byteCount))
        try worker.unmount(directory)
        return result
    }

    func stop() {
        Host.unmount(localMount)
        l2.stop()
    }
}

/// The file in a mounted image, and the device below it.
struct MountedFile {
    let path: String
    let device: String
    /// The process that answers for the device.
    let pid: pid_t
    let byteCount: Int

    /// Reads all of it once.
    func readThrough(_ path: String, byteCount: Int, _ workspace: Workspace) throws {
        try workspace.run(["/bin/sh", "-c", "head -c \(byteCount) \"$0\" > /dev/null", path])
    }
}
