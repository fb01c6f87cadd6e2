import CacheCore
import Testing

/// The fields that users read and set are those that are kept.
@Suite struct LayerEntryTests {
    @Test func fields() {
        var entry = LayerEntry(path: Array("a".utf8), kind: .file)
        (entry.mode, entry.uid, entry.gid) = (0o4755, 1, 2)
        (entry.mtimeSeconds, entry.mtimeNanoseconds) = (-3, 4)
        #expect(entry.permissions == .init(mode: 0o4755, uid: 1, gid: 2))
        #expect(entry.modificationTime == .init(seconds: -3, nanoseconds: 4))
        #expect([entry.mode, UInt16(entry.uid), UInt16(entry.gid)] == [0o4755, 1, 2])
        #expect(entry.mtimeSeconds == -3)
        #expect(entry.mtimeNanoseconds == 4)
    }
}
