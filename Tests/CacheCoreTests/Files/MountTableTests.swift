import CacheFiles
import Foundation
import TestSupport
import Testing

@Suite("The table of mounts, and mounting")
struct MountTableTests {
    private static let isRoot = geteuid() == 0

    @Test func aLineHasItsFields() throws {
        let line =
            #"36 35 98:0 /mnt1 /a\040b\134c rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue"#
        let entry = try #require(MountEntry(line: line.utf8))
        #expect(entry.id == 36 && entry.parent == 35)
        #expect(entry.backingDevice == "98:0")
        #expect(entry.root == FileName("/mnt1"))
        #expect(entry.target == FileName(#"/a b\c"#))
        #expect(entry.options == "rw,noatime" && entry.isSlave)
        #expect(entry.type == "ext3" && entry.source == FileName("/dev/root"))
        #expect(entry.superOptions == "rw,errors=continue")
    }

    @Test(arguments: ["", "shared:1 ", "unbindable ", "propagate_from:2 "])
    func whoGivesMountsBackIsNoSlave(_ fields: String) throws {
        #expect(try !#require(MountEntry(line: "1 2 0:3 / / rw \(fields)- tmpfs tmpfs rw".utf8)).isSlave)
    }

    @Test(arguments: [
        "", "-", "36 35 98:0 / /x rw", "36 35 98:0 / /x rw - ext3", "x 35 98:0 / /x rw - a b c",
        "36 35 98 / /x rw - a b c",
    ])
    func otherTextIsNoMount(_ line: String) { #expect(MountEntry(line: line.utf8) == nil) }

    @Test func theRootIsThere() throws { #expect(try SystemMount.entry(at: "/") != nil) }

    @Test(.enabled(if: isRoot, "mounting needs root"))
    func whatIsMountedIsInTheTable() throws {
        let directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory("a b"), withIntermediateDirectories: false)
        let target = try #require(realpath(directory("a b"), nil).map { String(cString: $0) })
        try SystemMount.mount(
            source: "nothing", target: target, type: "tmpfs", flags: [.readOnly, .noSetUserID], data: "size=64k")
        let found = try SystemMount.entry(at: target)
        try SystemMount.unmount(target, flags: [.detach, .noFollow])
        let entry = try #require(found)
        #expect(entry.type == "tmpfs" && entry.source == FileName("nothing"))
        #expect(entry.options.split(separator: ",").contains("ro"))
        #expect(entry.superOptions.contains("size=64k"))
        #expect(try SystemMount.entry(at: target) == nil)
        #expect(throws: Errno.badArgument) { try SystemMount.unmount(target) }
    }
}
