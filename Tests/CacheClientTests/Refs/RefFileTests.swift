import CacheCore
import Foundation
import Glibc
import NIOCore
import Testing

@testable import CacheClient

/// The file of remembered refs, as several processes use it and as a disk leaves it.
@Suite struct RefFileTests {
    private let fixture: ClientFixture
    private let keys: TenantKeys
    private let file: RefFile
    private let now: UInt64 = 1_000_000_000

    init() throws {
        fixture = try ClientFixture()
        keys = try fixture.keyring.keys(for: try fixture.reference.tenant)
        file = RefFile(directory: fixture.path, capacity: 4 << 20)
    }

    private func name(_ number: Int) throws -> RememberedRef.Name {
        RememberedRef.Name(of: try ImageReference(parsing: "acme/app:\(number)"), keys: keys)
    }

    private func put(_ number: Int, _ value: UInt8, seenAt: UInt64, now: UInt64? = nil) throws {
        let ref = RememberedRef(
            record: RefRecord(
                generation: try #require(Generation(1)),
                manifest: ManifestID([value].withUnsafeBytes { SHA256Digest(hashing: $0) }), setAt: UInt64(value)),
            pieces: nil, seenAt: seenAt)
        let name = try name(number)
        try file.put(ref.encoded(as: name, keys: keys), name, seenAt: seenAt, now: now ?? self.now)
    }

    /// What is remembered of a reference: the value it was put with.
    private func value(_ number: Int) throws -> UInt8? {
        let name = try name(number)
        guard case .record(let record) = try file.find(name) else { return nil }
        return try record.withUnsafeReadableBytes {
            UInt8(try RememberedRef(decoding: $0, as: name, keys: keys).record.setAt)
        }
    }

    private func change(_ edit: (inout Data) -> Void) throws {
        var data = try Data(contentsOf: URL(fileURLWithPath: file.path))
        edit(&data)
        try data.write(to: URL(fileURLWithPath: file.path))
    }

    @Test func recordsAreKeptAndDropped() throws {
        #expect(try value(1) == nil)
        try file.remove(try name(1), seenUpTo: .max)
        try put(1, 10, seenAt: 5)
        try put(2, 20, seenAt: 6)
        #expect(try value(1) == 10)
        #expect(try value(2) == 20)
        try file.remove(try name(1), seenUpTo: 4)
        #expect(try value(1) == 10)
        try file.remove(try name(1), seenUpTo: 5)
        #expect(try value(1) == nil)
        #expect(try value(2) == 20)
        // Its place is used again.
        try put(3, 30, seenAt: 7)
        #expect(try Data(contentsOf: URL(fileURLWithPath: file.path)).count == 2 * RememberedRef.byteCount)
    }

    @Test func whatWasSeenLaterStays() throws {
        try put(1, 10, seenAt: 500)
        try put(1, 11, seenAt: 499)
        #expect(try value(1) == 10)
        try put(1, 12, seenAt: 500)
        #expect(try value(1) == 12)
        try put(1, 13, seenAt: 501)
        #expect(try value(1) == 13)
        // The clock was set back since: what claims to be of the future is old.
        try put(1, 14, seenAt: now + 100_000, now: now + 100_000)
        try put(1, 15, seenAt: now)
        #expect(try value(1) == 15)
    }

    @Test func theNumberIsBounded() throws {
        #expect(file.places == 128)
        for number in 0..<128 { try put(number, 1, seenAt: UInt64(1000 + number)) }
        try put(0, 1, seenAt: 5000)
        for number in 128..<130 { try put(number, 2, seenAt: UInt64(6000 + number)) }
        #expect(try value(0) == 1)
        #expect(try value(1) == nil)
        #expect(try value(2) == nil)
        #expect(try value(3) == 1)
        #expect(try value(128) == 2)
        #expect(try value(129) == 2)
        #expect(try Data(contentsOf: URL(fileURLWithPath: file.path)).count == 128 * RememberedRef.byteCount)
        #expect(RefFile(directory: "/", capacity: 1 << 30).places == 2048)
        #expect(RefFile(directory: "/", capacity: .max).places == 8192)
    }

    @Test func damageIsNoticedAndItsPlaceUsedAgain() throws {
        for number in 0..<3 { try put(number, UInt8(number), seenAt: 1) }
        try change { $0[RememberedRef.byteCount] ^= 1 }
        #expect(try value(0) == 0)
        #expect(try value(1) == nil)
        #expect(try value(2) == 2)
        guard case .none(damaged: 1) = try file.find(try name(1)) else {
            Issue.record("the damage was not noticed")
            return
        }
        try put(4, 4, seenAt: 2)
        #expect(try value(0) == 0)
        #expect(try value(2) == 2)
        #expect(try value(4) == 4)
        #expect(try Data(contentsOf: URL(fileURLWithPath: file.path)).count == 3 * RememberedRef.byteCount)
        // Half a record at the end.
        try change { $0 += [1, 2, 3] }
        try put(5, 5, seenAt: 2)
        #expect(try value(5) == 5)
        try change { $0 = Data(repeating: 0xA5, count: 4 << 20) }
        #expect(try value(5) == nil)
        try put(5, 6, seenAt: 2)
        #expect(try value(5) == 6)
    }

    /// Records of a newer version are left to those who understand them.
    @Test func aNewerVersionIsLeftAlone() throws {
        for number in 0..<128 { try put(number, UInt8(number), seenAt: 1) }
        try change { data in for number in 0..<128 { data[number * RememberedRef.byteCount + 4] = 2 } }
        let before = try Data(contentsOf: URL(fileURLWithPath: file.path))
        try put(1, 1, seenAt: 9)
        #expect(try Data(contentsOf: URL(fileURLWithPath: file.path)) == before)
    }

    @Test func whatIsNoFileIsAnError() async throws {
        try FileManager.default.createDirectory(atPath: file.path, withIntermediateDirectories: false)
        #expect(await cacheError { _ = try file.find(try name(1)) } != nil)
        #expect(await cacheError { try put(1, 1, seenAt: 1) } != nil)
        rmdir(file.path)
        #expect(mkfifo(file.path, 0o600) == 0)
        #expect(await cacheError { _ = try file.find(try name(1)) } != nil)
        unlink(file.path)
        #expect(symlink("elsewhere", file.path) == 0)
        #expect(await cacheError { try put(1, 1, seenAt: 1) } != nil)
        #expect(!FileManager.default.fileExists(atPath: fixture("elsewhere")))
        // No directory at all: there is nothing to remember in.
        let nowhere = RefFile(directory: fixture("nowhere"), capacity: 4 << 20)
        if case .record = try nowhere.find(try name(1)) { Issue.record("found in nothing") }
        try nowhere.put(ByteBuffer(repeating: 1, count: 128), try name(1), seenAt: 1, now: 1)
    }

    /// Many at once, as processes that share an L1 are: each reference ends with what was seen last.
    @Test func manyAtOnce() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    for step in 0..<20 {
                        let seenAt = UInt64(step * 8 + writer)
                        // One that waits for its turn too long gives up, and another one has the last word.
                        do { try put(step % 4, UInt8(seenAt), seenAt: seenAt) } catch let error as CacheError {
                            #expect(error.code == .conflict)
                        }
                        _ = try value(step % 4)
                    }
                }
            }
            try await group.waitForAll()
        }
        for number in 0..<4 {
            try put(number, 200, seenAt: 200)
            #expect(try value(number) == 200)
        }
    }
}
