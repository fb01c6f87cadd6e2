import CacheAgent
import CacheClient
import CacheCore
import CacheFiles
import Foundation
import TestSupport
import Testing

@Suite(.enabled(if: Host.canMount, Comment(rawValue: Host.needs)), .serialized)
struct WorkerTests {
    @Test("a mount shows the image, and an unmount leaves nothing of it")
    func mounts() async throws {
        try await withBench(["one"]) { bench in
            let target = try bench.target("with blank\nand line")
            let status = try await bench.worker.mount(MountRequest(ref: "acme/one", dir: target))
            #expect(status.dir == target && status.ref == "acme/one:latest" && !status.writable)
            #expect(FileStatus.find(status.device)?.size == Int(status.bytes))
            #expect(try bench.text("\(target)/name") == "one")
            #expect(
                FileManager.default.contentsEqual(atPath: "\(target)/big", andPath: bench.images.directory + "/one/big")
            )
            #expect(await bench.worker.status.mounts == [status])
            #expect(try await bench.worker.statistics(of: target).asked.bytes == 12288)
            try await bench.unmount(target)
            #expect(try bench.kernelMounts().isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: bench.place.devices).isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: target).isEmpty)
            await #expect(throws: CacheError.self) { try await bench.worker.unmount(target) }
        }
    }

    @Test("mounts of one image share its device, which goes with the last of them")
    func shares() async throws {
        try await withBench(["one"]) { bench in
            let first = try await bench.worker.mount(MountRequest(ref: "acme/one", dir: try bench.target("a")))
            let second = try await bench.worker.mount(MountRequest(ref: "acme/one", dir: try bench.target("b")))
            #expect(first.device == second.device)
            try await bench.unmount(first.dir)
            #expect(try bench.text("\(second.dir)/name") == "one")
            try await bench.unmount(second.dir)
            #expect(try FileManager.default.contentsOfDirectory(atPath: bench.place.devices).isEmpty)
        }
    }

    @Test(
        "64 mounts of 12 images at once, half of them writable, and their unmounts leave no mount, file or descriptor")
    func many() async throws {
        let names = (0..<12).map { "image\($0)" }
        try await withBench(names) { bench in
            let worker = bench.worker
            let targets = try (0..<64).map { try bench.target("m\($0)") }
            var before = 0
            for round in 0..<2 {
                try await withThrowingTaskGroup { group in
                    for (index, target) in targets.enumerated() {
                        group.addTask {
                            let request = MountRequest(
                                ref: "acme/\(names[index % names.count])", dir: target, writable: index % 2 == 0)
                            _ = try await worker.mount(request)
                        }
                    }
                    try await group.waitForAll()
                }
                for (index, target) in targets.enumerated() {
                    #expect(try bench.text("\(target)/name") == names[index % names.count])
                }
                #expect(try FileManager.default.contentsOfDirectory(atPath: bench.place.devices).count == names.count)
                try await withThrowingTaskGroup { group in
                    for target in targets { group.addTask { try await WorkerBench.unmount(target, from: worker) } }
                    try await group.waitForAll()
                }
                #expect(try bench.kernelMounts().isEmpty)
                #expect(try FileManager.default.contentsOfDirectory(atPath: bench.place.scratch).isEmpty)
                // After the first round all threads have their own.
                if round == 0 { before = bench.openDescriptors }
            }
            #expect(bench.openDescriptors <= before)
        }
    }

    @Test("what cannot be mounted, or mounted at, is refused in one line and leaves nothing")
    func refuses() async throws {
        try await withBench(["one"]) { bench in
            let target = try bench.target("a")
            let file = bench.directory("file")
            try Data().write(to: URL(fileURLWithPath: file))
            let wrong: [(ref: String, dir: String, code: CacheError.Code)] = [
                ("acme/one", bench.directory("missing"), .invalidInput), ("acme/one", file, .invalidInput),
                ("acme/one", "a", .invalidInput), ("one", target, .invalidInput), ("acme/two", target, .missing),
            ]
            for (ref, dir, code) in wrong {
                let error = await #expect(throws: CacheError.self) {
                    try await bench.worker.mount(MountRequest(ref: ref, dir: dir))
                }
                #expect(error?.code == code, "\(ref) at \(dir): \(String(describing: error))")
            }
            // An image that is no EROFS fails in the kernel.
            try Data(repeating: 7, count: 1 << 20).write(
                to: URL(fileURLWithPath: bench.images.directory + "/bad.img"))
            await #expect(throws: CacheError.self) {
                try await bench.worker.mount(MountRequest(ref: "acme/bad", dir: target, writable: true))
            }
            #expect(try bench.kernelMounts().isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: bench.place.devices).isEmpty)
            // One at a time at a directory, by whatever name.
            try Data("below".utf8).write(to: URL(fileURLWithPath: "\(target)/below"))
            _ = try await bench.worker.mount(MountRequest(ref: "acme/one", dir: target))
            try FileManager.default.createSymbolicLink(atPath: bench.directory("link"), withDestinationPath: target)
            let error = await #expect(throws: CacheError.self) {
                try await bench.worker.mount(MountRequest(ref: "acme/one", dir: bench.directory("link")))
            }
            #expect(error?.code == .conflict)
            try await bench.unmount(bench.directory("link"))
            #expect(try bench.text("\(target)/below") == "below")
        }
    }

    @Test("a mount in use is not unmounted, and goes on; the end of a worker waits for it")
    func busy() async throws {
        try await withBench(["one"]) { bench in
            let used = try await bench.worker.mount(MountRequest(ref: "acme/one", dir: try bench.target("used")))
            _ = try await bench.worker.mount(MountRequest(ref: "acme/one", dir: try bench.target("idle")))
            do {
                let file = try OpenFile.open("\(used.dir)/big")
                let error = await #expect(throws: CacheError.self) { try await bench.worker.unmount(used.dir) }
                #expect(error?.code == .conflict)
                #expect(await bench.worker.drain() == [used.dir])
                #expect(try await Task { try file.wholeRange().readAll(atMost: 1 << 20).count }.value == 320_000)
            }
            let error = await #expect(throws: CacheError.self) {
                try await bench.worker.mount(MountRequest(ref: "acme/one", dir: bench.directory("idle")))
            }
            #expect(error?.code == .closed)
            let worker = bench.worker
            async let emptied: Void = worker.waitUntilEmpty()
            try await bench.unmount(used.dir)
            await emptied
            #expect(try bench.kernelMounts().isEmpty)
        }
    }

    @Test("what is written stays with the mount, the root looks like the image's, and unmounting removes it")
    func writable() async throws {
        try await withBench(["one"]) { bench in
            let target = try bench.target("w")
            _ = try await bench.worker.mount(MountRequest(ref: "acme/one", dir: target, writable: true))
            let other = try await bench.worker.mount(MountRequest(ref: "acme/one", dir: try bench.target("r")))
            #expect(FileStatus.find(target)?.permissions == 0o751)
            try Data("new".utf8).write(to: URL(fileURLWithPath: "\(target)/name"))
            try FileManager.default.removeItem(atPath: "\(target)/big")
            #expect(try bench.text("\(target)/name") == "new")
            #expect(try bench.text("\(other.dir)/name") == "one")
            #expect(FileStatus.find("\(other.dir)/big") != nil)
            try await bench.unmount(target)
            #expect(try FileManager.default.contentsOfDirectory(atPath: bench.place.scratch).isEmpty)
            _ = try await bench.worker.mount(MountRequest(ref: "acme/one", dir: target, writable: true))
            #expect(try bench.text("\(target)/name") == "one")
        }
    }

    // MARK: From one process to the next

    @Test("the next process serves what the one before has mounted, and gives new devices new numbers")
    func takesOver() async throws {
        try await withBench(["one", "two"]) { bench in
            let first = try await bench.worker.mount(MountRequest(ref: "acme/one", dir: try bench.target("a")))
            let second = try await bench.worker.mount(
                MountRequest(ref: "acme/one", dir: try bench.target("b"), writable: true))
            try await bench.takeOver()
            #expect(await bench.worker.status.mounts == [first, second])
            #expect(
                FileManager.default.contentsEqual(
                    atPath: "\(first.dir)/big", andPath: bench.images.directory + "/one/big"))
            let third = try await bench.worker.mount(MountRequest(ref: "acme/two", dir: try bench.target("c")))
            #expect(try bench.text("\(third.dir)/name") == "two")
            #expect(third.device != first.device)
            for mount in [first, second, third] { try await bench.unmount(mount.dir) }
            #expect(try bench.kernelMounts().isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: bench.place.scratch).isEmpty)
        }
    }

    @Test("a mount that is gone is forgotten, and one that nobody knows is detached")
    func healsTable() async throws {
        try await withBench(["one"]) { bench in
            let gone = try await bench.worker.mount(
                MountRequest(ref: "acme/one", dir: try bench.target("gone"), writable: true))
            let kept = try await bench.worker.mount(MountRequest(ref: "acme/one", dir: try bench.target("kept")))
            let unknown = try bench.target("unknown")
            try SystemMount.mount(source: kept.device, target: unknown, type: "erofs", flags: .readOnly)
            try SystemMount.unmount(gone.dir)
            try await bench.takeOver()
            #expect(await bench.worker.status.mounts == [kept])
            #expect(try bench.kernelMounts() == [kept.dir])
            #expect(try FileManager.default.contentsOfDirectory(atPath: bench.place.scratch).isEmpty)
        }
    }
}
