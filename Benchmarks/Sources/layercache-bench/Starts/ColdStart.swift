import Foundation

/// One start of a program from an image that its host has never seen, and what followed.
struct ColdStart {
    /// From the command that mounts to the program's first output.
    let seconds: Double
    /// The command that mounts alone.
    let mountSeconds: Double
    /// The same program again from the same mount: everything is in the page cache.
    let warmSeconds: Double
    /// Unmounted, mounted again by the same worker, and the program run: the page cache of the mount is empty, memory
    /// and L1 are not.
    let remountSeconds: Double
    let statistics: MountStatistics

    init(_ fixture: StartFixture, isL2Warm: Bool, prefetch: Worker.Prefetch) throws {
        let workspace = fixture.workspace
        let directory = workspace.fresh("mount")
        let command = fixture.image.command(in: directory)
        self = try fixture.withL2(isWarm: isL2Warm) { l2 in
            try Host.dropCaches()
            let worker = try Worker(
                workspace, l1: workspace.fresh("start-l1"), l2: l2, fixture.deployment, l3: fixture.l3)
            defer { worker.stop() }
            defer { Host.unmount(directory) }
            func start(_ prefetch: Worker.Prefetch) throws -> (mount: Double, output: Double) {
                let mounted = try worker.mount(fixture.ref, at: directory, prefetch: prefetch)
                return (mounted.seconds, mounted.seconds + (try workspace.firstOutput(command).seconds))
            }
            let cold = try start(prefetch)
            let statistics = try worker.settledStatistics(of: directory)
            let warm = try workspace.firstOutput(command)
            try worker.unmount(directory)
            let again = try start(.none)
            try worker.unmount(directory)
            return ColdStart(
                seconds: cold.output, mountSeconds: cold.mount, warmSeconds: warm.seconds,
                remountSeconds: again.output, statistics: statistics)
        }
    }

    private init(
        seconds: Double, mountSeconds: Double, warmSeconds: Double, remountSeconds: Double,
        statistics: MountStatistics
    ) {
        self.seconds = seconds
        self.mountSeconds = mountSeconds
        self.warmSeconds = warmSeconds
        self.remountSeconds = remountSeconds
        self.statistics = statistics
    }
}
