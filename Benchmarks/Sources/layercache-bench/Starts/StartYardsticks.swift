import Foundation

/// What else brings a program out of an image on this machine.
struct StartYardsticks {
    /// skopeo copies the image from a local layout, umoci unpacks it, the program runs: to its first output.
    private(set) var unpack: [Double] = []
    /// The whole image by `pull dir:` with L2 warm, then the program from the tree.
    let pull: Double
    /// The program from an EROFS file of the same tree on the local disk: nothing in the page cache, and everything.
    private(set) var local: (cold: [Double], warm: [Double]) = ([], [])
    private(set) var skipped: [String] = []

    init(_ fixture: StartFixture, rounds: Int) throws {
        let workspace = fixture.workspace
        pull = fixture.usage.seconds + (try workspace.firstOutput(fixture.image.command(in: fixture.tree)).seconds)
        if let skopeo = installed("skopeo"), let umoci = installed("umoci") {
            for _ in 0..<rounds {
                unpack.append(try Self.unpacked(fixture, skopeo: skopeo, umoci: umoci))
            }
        } else {
            skipped.append("\(fixture.image.name): there is no skopeo or no umoci to compare with")
        }
        if let mkfs = installed("mkfs.erofs") {
            let file = workspace.fresh("local.erofs")
            let directory = workspace.fresh("local")
            try workspace.run([mkfs, "--quiet", file, fixture.tree])
            for _ in 0..<max(rounds, 3) {
                try Host.mountErofs(file, at: directory)
                defer { Host.unmount(directory) }
                try Host.dropCaches()
                local.cold.append(try workspace.firstOutput(fixture.image.command(in: directory)).seconds)
                local.warm.append(try workspace.firstOutput(fixture.image.command(in: directory)).seconds)
            }
            try FileManager.default.removeItem(atPath: file)
        } else {
            skipped.append("\(fixture.image.name): there is no mkfs.erofs to compare with")
        }
    }

    /// Both programs are in the page cache, as ours is; the image is not.
    private static func unpacked(_ fixture: StartFixture, skopeo: String, umoci: String) throws -> Double {
        let workspace = fixture.workspace
        let place = try workspace.freshDirectory("unpacked")
        try Host.dropCaches()
        for program in [skopeo, umoci] { try workspace.run([program, "--version"]) }
        let (seconds, _) = try seconds {
            try workspace.run([
                skopeo, "--insecure-policy", "copy", "--quiet", "oci:\(fixture.image.source)", "oci:\(place)/image:1",
            ])
            try workspace.run([umoci, "unpack", "--image", "\(place)/image:1", "\(place)/bundle"])
        }
        return seconds + (try workspace.firstOutput(fixture.image.command(in: "\(place)/bundle/rootfs")).seconds)
    }
}
