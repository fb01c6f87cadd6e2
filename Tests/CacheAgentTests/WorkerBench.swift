import CacheAgent
import CacheClient
import CacheCore
import CacheDevice
import CacheFiles
import Foundation
import Glibc
import NIOCore
import TestSupport

/// What the tests of mounts need of the machine.
enum Host {
    static let canMount =
        geteuid() == 0 && access("/dev/fuse", R_OK | W_OK) == 0 && BuiltProgram.isInstalled("mkfs.erofs")
        && (try? String(contentsOfFile: "/proc/filesystems", encoding: .utf8))?.contains("erofs") == true
    static let needs = "needs root, /dev/fuse, a kernel with EROFS and mkfs.erofs"
}

/// A worker with FUSE, the kernel's EROFS and files that mkfs.erofs has made; without the processes around it.
final class WorkerBench {
    let directory: TemporaryDirectory
    let place: WorkerPlace
    let images: FileImages
    private(set) var worker: Worker
    private(set) var fuse: FuseFilesystem
    private let connection: [OpenFile]
    private var mounter: ImageMounter
    private var table: MountTable
    private let lock: OpenFile

    /// - Parameter images: the names of those that there are; each has the files `name` and `big`.
    init(images names: [String]) async throws {
        directory = try TemporaryDirectory()
        images = FileImages(directory: directory("images"))
        try FileManager.default.createDirectory(atPath: images.directory, withIntermediateDirectories: false)
        for name in names { try await Self.makeImage(name, in: images.directory) }
        place = WorkerPlace(socket: directory("worker.sock"))
        lock = try place.take()
        connection = try place.mountDevices()
        (fuse, mounter, table, worker) = try Self.makeWorker(place, images, connection)
        try await worker.restore()
        try fuse.start()
    }

    static func makeImage(_ name: String, in directory: String) async throws {
        let tree = "\(directory)/\(name)"
        try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: false)
        try Data(name.utf8).write(to: URL(fileURLWithPath: "\(tree)/name"))
        var random = SeededGenerator(seed: UInt64(name.utf8.reduce(7) { $0 * 31 + Int($1) }))
        let big = (0..<40_000).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } }
        try Data(big).write(to: URL(fileURLWithPath: "\(tree)/big"))
        try FileManager.default.setAttributes([.posixPermissions: 0o751], ofItemAtPath: tree)
        try await ChildProcess("mkfs.erofs", ["\(tree).img", tree]).wait().succeeded()
    }

    private static func makeWorker(
        _ place: WorkerPlace, _ images: FileImages, _ connection: [OpenFile]
    ) throws -> (FuseFilesystem, ImageMounter, MountTable, Worker) {
        var session: FuseSession?
        if let data = FileManager.default.contents(atPath: place.session) {
            session = try JSONDecoder().decode(FuseSession.self, from: data)
        }
        var events = FuseFilesystem.Events()
        events.negotiated = { session in
            try? JSONEncoder().encode(session).write(to: URL(fileURLWithPath: place.session))
        }
        let fuse = try FuseFilesystem(
            connection: connection, negotiated: session, logger: .quiet, events: events)
        let mounter = ImageMounter(deadlines: Deadlines())
        let table = try MountTable(place.table)
        let parts = Worker.Parts(
            place: place, images: images, shelf: FuseShelf(fuse), mounter: mounter, table: table, logger: .quiet)
        return (fuse, mounter, table, Worker(parts, keyring: "keys.json"))
    }

    /// A new worker in the place of this one, which knows of it only what is on the disk and in the kernel.
    func takeOver() async throws {
        try await fuse.stop()
        await worker.closeDevices()
        try await table.close()
        mounter.close()
        (fuse, mounter, table, worker) = try Self.makeWorker(place, images, connection)
        try await worker.restore()
        try fuse.start()
        try fuse.resendPending()
        await worker.reopen()
    }

    /// A new directory to mount at.
    func target(_ name: String) throws -> String {
        try FileManager.default.createDirectory(atPath: directory(name), withIntermediateDirectories: false)
        return directory(name)
    }

    func unmount(_ directory: String) async throws { try await Self.unmount(directory, from: worker) }

    /// Unmounts what nothing uses. A program that another test of this process is just starting has copies of its open
    /// files for a moment, and so has a thread that is about to mount.
    static func unmount(_ directory: String, from worker: Worker) async throws {
        try await eventually("an unused \(directory)") {
            do { try await worker.unmount(directory) } catch let error as CacheError where error.code == .conflict {
                return false
            }
            return true
        }
    }

    func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    /// The lines of the kernel's table that name the bench's directory, without FUSE's own.
    func kernelMounts() throws -> [String] {
        try SystemMount.table().map(\.target.description).filter {
            $0.hasPrefix(directory.path) && $0 != place.devices
        }
    }

    var openDescriptors: Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? -1
    }

    /// Takes all of it down; to be called at the end of each test, whatever came of it.
    func end() async throws {
        await worker.detachAll()
        try await mounter.detach(place.devices, scratch: nil)
        try await fuse.stop()
        await worker.closeDevices()
        try await table.close()
        mounter.close()
        place.remove()
        withExtendedLifetime(lock) {}
    }
}

/// Runs a test on a bench, and takes that down.
func withBench(_ images: [String], _ body: (WorkerBench) async throws -> Void) async throws {
    let bench = try await WorkerBench(images: images)
    do { try await body(bench) } catch {
        try await bench.end()
        throw error
    }
    try await bench.end()
}

/// Images that are EROFS files: the ref `acme/NAME:TAG` is `NAME.img`.
struct FileImages: WorkerImages {
    let directory: String

    func image(_ reference: ImageReference, keyring: String) async throws -> any WorkerImage {
        let path = "\(directory)/\(reference.name).img"
        guard FileStatus.find(path) != nil else {
            throw CacheError(.missing, "there is no image \(reference)")
        }
        guard let generation = Generation(1) else { throw CacheError(.invalidInput, "no generation") }
        let name = Array("\(reference)".utf8)
        let digest = name.withUnsafeBytes { SHA256Digest(hashing: $0) }
        return FileImage(path: path, pin: ImagePin(manifest: ManifestID(digest), generation: generation))
    }

    func image(
        _ reference: ImageReference, pinned pin: ImagePin, keyring: String
    ) async throws -> any WorkerImage {
        let image = try await image(reference, keyring: keyring)
        guard image.pin == pin else { throw CacheError(.missing, "\(reference) is not \(pin)") }
        return image
    }
}

private struct FileImage: WorkerImage {
    let path: String
    let pin: ImagePin

    func open(_ options: DeviceOptions) async throws -> any WorkerDevice { try FileImageDevice(path) }
}

private struct FileImageDevice: WorkerDevice {
    private let file: OpenFile
    let byteCount: UInt64
    let statistics: DeviceStatistics

    init(_ path: String) throws {
        file = try OpenFile.open(path)
        byteCount = UInt64(try file.status().size)
        let tier = #"{"chunks":0,"bytes":0}"#
        let text = """
            {"asked":{"reads":3,"bytes":12288},"tiers":{"memory":\(tier),"l1":\(tier),"l2":\(tier),"l3":\(tier)},
             "prefetch":{"chunks":0,"used":0},"repaired":{"l1":0,"l2":0}}
            """
        statistics = try JSONDecoder().decode(DeviceStatistics.self, from: Data(text.utf8))
    }

    func close() async {}

    func cached(at offset: UInt64, count: Int, reach: DeviceReach) throws -> [ByteBuffer]? {
        guard reach == .disk else { return nil }
        var buffer = ByteBufferAllocator().buffer(capacity: count)
        try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
            try file.descriptor.readAll(into: UnsafeMutableRawBufferPointer(rebasing: room[..<count]), at: Int(offset))
        }
        return [buffer]
    }

    func read(at offset: UInt64, count: Int) async throws -> [ByteBuffer] {
        try cached(at: offset, count: count, reach: .disk) ?? []
    }

    func extent(at offset: UInt64) -> DeviceExtent { DeviceExtent(count: byteCount - offset, isZero: false) }
}
