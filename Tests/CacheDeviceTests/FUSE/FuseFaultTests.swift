import CacheClient
import CacheCore
import CacheDevice
import CacheFiles
import Foundation
import Logging
import TestSupport
import Testing

@Suite("FUSE over devices that are ill", .enabled(if: FuseMount.isPossible, "\(FuseMount.reason)"))
struct FuseFaultTests {
    private func read(_ mount: FuseMount, at offset: Int = 0, _ count: Int = 4096) async throws -> [UInt8] {
        try await onThread { try piece(of: OpenFile.open(mount.file("device"), .direct), at: offset, count) }
    }

    /// What fails, or is short, is an error for just that read; the next one has the bytes.
    @Test(arguments: [ScriptedDevice.Step.failure, .short])
    func anErrorIsOfOneRead(_ step: ScriptedDevice.Step) async throws {
        let mount = try FuseMount()
        let filesystem = try mount.serve()
        try filesystem.insert(ScriptedDevice([step]), name: "device", number: 2)
        await #expect(throws: Errno.ioError) { try await read(mount) }
        #expect(try await read(mount) == [UInt8](repeating: 7, count: 4096))
        try await mount.unmount()
        try await filesystem.stop()
    }

    /// There can be thousands.
    @Test func failuresAreToldNowAndThen() async throws {
        let mount = try FuseMount()
        let clock = ManualClock()
        let sink = LineSink(file: LogFile(mount.directory("log")))
        let logger = Logger(label: "test") { LineLogHandler(label: $0, sink: sink) }
        let filesystem = try mount.serve(logger: logger, time: TimeSource(clock))
        try filesystem.insert(ScriptedDevice([.failure, .short, .short]), name: "device", number: 2)
        for seconds in [0, 9, 1] {
            clock.advance(by: .seconds(seconds))
            await #expect(throws: Errno.ioError) { try await read(mount) }
        }
        try await mount.unmount()
        try await filesystem.stop()
        sink.flush(within: 300)
        let lines = try String(contentsOfFile: mount.directory("log"), encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 2, "\(lines)")
        #expect(lines.allSatisfy { $0.contains(" warning ") && $0.hasSuffix("its reader gets EIO") })
    }

    /// Devices that never come back: their readers have an error at the deadline, others have their bytes meanwhile,
    /// and what comes late goes nowhere.
    @Test func aDeadlineEndsWhatHangs() async throws {
        let mount = try FuseMount()
        let clock = ManualClock()
        let filesystem = try mount.serve(time: TimeSource(clock))
        let device = ScriptedDevice(Array(repeating: .hangs, count: 5))
        try filesystem.insert(device, name: "device", number: 2)
        let hung = (0..<5).map { index in Task { try await read(mount, at: index * 4096) } }
        try await eventually("five reads that hang") { device.hanging == 5 }
        #expect(try await read(mount).count == 4096)
        try await clock.passing {
            for task in hung {
                let result = await task.result
                #expect(throws: Errno.ioError) { try result.get() }
            }
        }
        device.release()
        #expect(try await read(mount, at: 5 * 4096).count == 4096)
        try await mount.unmount()
        try await filesystem.stop()
    }

    /// A disk that keeps the thread that reads it holds its reader up for a moment: the bytes come from afar, and what
    /// the disk says later goes nowhere.
    @Test func aDiskThatHangsIsPassedOver() async throws {
        let mount = try FuseMount()
        let clock = ManualClock()
        let filesystem = try mount.serve(time: TimeSource(clock))
        let device = HungDiskDevice()
        try filesystem.insert(device, name: "device", number: 2)
        let reader = Task { try await read(mount) }
        try await eventually("a thread that hangs") { device.hanging == 1 }
        #expect(device.reads == 0)
        clock.advance(by: .milliseconds(250))
        #expect(try await reader.value == [UInt8](repeating: 7, count: 4096))
        #expect(device.hanging == 1 && device.reads == 1)
        device.release()
        #expect(try await read(mount, at: 4096) == [UInt8](repeating: 9, count: 4096))
        #expect(device.reads == 1)
        try await mount.unmount()
        try await filesystem.stop()
    }

    /// What the kernel asks on for the same read of a program fails with the first request that waited in vain; what
    /// comes a moment later, from another thread, or from somewhere else is tried.
    @Test func aReadWaitsForOneDeadline() async throws {
        let mount = try FuseMount()
        let clock = ManualClock()
        let filesystem = try mount.serve(time: TimeSource(clock))
        let device = ScriptedDevice([.hangs])
        try filesystem.insert(device, name: "device", number: 2)
        let reader = Task {
            try await onThread {
                let file = try OpenFile.open(mount.file("device"), .direct)
                for offset in [1 << 20, (1 << 20) + 65_536, (3 << 20) - 4096, 1 << 20] {
                    #expect(throws: Errno.ioError) { try piece(of: file, at: offset, 4096) }
                }
                #expect(device.reads == 1)
                #expect(try piece(of: file, at: 0, 4096).count == 4096)
                #expect(try piece(of: file, at: 3 << 20, 4096).count == 4096)
                clock.advance(by: .milliseconds(100))
                #expect(try piece(of: file, at: 1 << 20, 4096).count == 4096)
            }
        }
        try await eventually("a read that hangs") { device.hanging == 1 }
        clock.advance(by: .seconds(30))
        try await reader.value
        #expect(device.reads == 4)
        device.release()
        try await mount.unmount()
        try await filesystem.stop()
    }

    /// A device that hangs in all reads that it may have under way holds up itself, and no other.
    @Test func aDeviceThatHangsIsAlone() async throws {
        let mount = try FuseMount()
        let clock = ManualClock()
        let filesystem = try mount.serve(time: TimeSource(clock))
        let hung = ScriptedDevice(Array(repeating: .hangs, count: 1000))
        try filesystem.insert(hung, name: "hung", number: 2)
        try filesystem.insert(ScriptedDevice([]), name: "device", number: 3)
        let readers = (0..<80).map { index in
            Task {
                try await onThread { try piece(of: OpenFile.open(mount.file("hung"), .direct), at: index * 4096, 4096) }
            }
        }
        try await eventually("64 reads that hang") { hung.hanging == 64 }
        #expect(try await read(mount).count == 4096)
        #expect(hung.reads == 64)
        try filesystem.remove(2)
        for reader in readers {
            let result = await reader.result
            #expect(throws: (any Error).self) { try result.get() }
        }
        hung.release()
        try await mount.unmount()
        try await filesystem.stop()
    }

    /// Reads of a device that is expected wait for it; those of one that does not come end at the deadline.
    @Test func readsWaitForADeviceThatIsExpected() async throws {
        let mount = try FuseMount()
        let clock = ManualClock()
        let filesystem = try mount.serve(time: TimeSource(clock))
        let device = ScriptedDevice([])
        try filesystem.expect(2, name: "device", byteCount: device.byteCount)
        try filesystem.expect(3, name: "never", byteCount: 4096)
        let early = Task { try await read(mount) }
        try await eventually("a read that waits") { filesystem.pendingReads == 1 }
        #expect(throws: CacheError.self) {
            try filesystem.insert(FixedDevice(byteCount: 4096), name: "device", number: 2)
        }
        try filesystem.insert(device, name: "device", number: 2)
        #expect(try await early.value == [UInt8](repeating: 7, count: 4096))
        await #expect(throws: Errno.ioError) {
            try await clock.passing {
                try await onThread { try piece(of: OpenFile.open(mount.file("never"), .direct), at: 0, 4096) }
            }
        }
        try await mount.unmount()
        try await filesystem.stop()
    }

    /// A reader that is killed is gone at once, however long its device hangs, also after a signal that it outlives.
    @Test func aKilledReaderDoesNotWait() async throws {
        let mount = try FuseMount()
        let filesystem = try mount.serve(deadline: .seconds(100_000))
        let device = ScriptedDevice([.hangs])
        try filesystem.insert(device, name: "device", number: 2)
        // Started with no signal blocked. dd prints numbers at SIGUSR1, once its read is over.
        let read = ["if=\(mount.file("device"))", "of=/dev/null", "iflag=direct", "count=1", "status=none"]
        let reader = try ChildSpawn(program: "dd", arguments: read).start()
        try await eventually("a read that hangs") { device.hanging == 1 }
        try reader.signal(SIGUSR1)
        #expect(
            try await onThread { try ChildSpawn(program: "dd", arguments: read).start().wait() } == .exited(status: 0))
        #expect(try reader.endIfEnded() == nil && filesystem.pendingReads == 1)
        try reader.signal(SIGTERM)
        #expect(try await onThread { try reader.wait() } == .killed(signal: SIGTERM))
        #expect(filesystem.pendingReads == 0)
        device.release()
        try await mount.unmount()
        try await filesystem.stop()
    }

    @Test func cyclesLeakNothing() async throws {
        let mount = try FuseMount()
        let filesystem = try mount.serve()
        weak var last: ScriptedDevice?
        for number in 2..<502 {
            let device = ScriptedDevice([])
            last = device
            try filesystem.insert(device, name: "device", number: UInt64(number))
            let got = try await read(mount, at: number * 4096)
            #expect(got.count == 4096)
            try filesystem.remove(UInt64(number))
        }
        try await eventually("a device that is gone") { last == nil }
        #expect(filesystem.pendingReads == 0)
        try await mount.unmount()
        try await filesystem.stop()
    }

    /// Also while a device hangs for ever: no descriptor and no thread is left, and the read of it fails.
    @Test func aStopGivesAllBack() async throws {
        let device = ScriptedDevice([.hangs])
        weak var connection: OpenFile?
        weak var stopped: FuseFilesystem?
        let reader: Task<[UInt8], any Error>
        do {
            let mount = try FuseMount(descriptors: 2)
            let filesystem = try mount.serve()
            connection = mount.connection.last
            stopped = filesystem
            try filesystem.insert(device, name: "device", number: 2)
            let path = mount.file("device")
            reader = Task { try await onThread { try piece(of: OpenFile.open(path, .direct), at: 0, 4096) } }
            try await eventually("a read that hangs") { device.hanging == 1 }
            try await filesystem.stop()
        }
        try await eventually("an end of all") { connection == nil && stopped == nil }
        let result = await reader.result
        #expect(throws: Errno.self) { try result.get() }
        device.release()
    }
}
