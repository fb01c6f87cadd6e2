import CacheClient
import CacheCore
import Foundation
import NIOCore
import TestSupport
import Testing

/// A host opens what it has opened before while L3 is away, and says that it could not ask.
@Suite(.timeLimit(.minutes(10))) struct L3AwayTests {
    private let fixture: ClientFixture
    private let store: FaultyObjectStore
    private let content: [UInt8]

    init() throws {
        fixture = try ClientFixture()
        store = FaultyObjectStore(fixture.store, scope: .everything)
        content = fixture.bytes(1_700_000)
    }

    /// Reads the image through a cache of its own, as each start of a program does.
    @discardableResult
    private func read(
        l1: String? = "l1", l2: [String] = [], _ adjust: (inout CacheConfiguration) -> Void = { _ in }
    ) async throws -> (isChecked: Bool, bytes: [UInt8], counts: ReadCounts) {
        try await fixture.withCache(l1: l1.map { fixture($0) }, l2: l2) {
            $0.l3 = store
            // What is slow here is the machine.
            $0.l1Deadline = .seconds(60)
            $0.l2Deadline = .seconds(60)
            $0.l2Patience = .seconds(600)
            $0.refDeadline = .seconds(60)
            adjust(&$0)
        } _: { cache in
            let image = try await fixture.image(cache)
            return (image.isReferenceChecked, try await image.layers[0].collect(), image.counts)
        }
    }

    @Test(arguments: [false, true]) func whatWasReadIsReadAgain(_ withL2: Bool) async throws {
        try await fixture.push(content)
        try await fixture.withDaemon { url in
            let l2 = withL2 ? [url] : []
            let first = try await read(l2: l2)
            #expect(first.isChecked)
            #expect(first.bytes == content)
            #expect(first.counts.l3.chunks == 4)
            // With L3 there, the ref is all that is asked of it.
            let again = try await read(l2: l2)
            #expect(again.isChecked)
            #expect(store.reads("/manifests/") == 2)
            #expect(store.reads("refs/") == 2)
            store.set(.failing)
            for _ in 0..<2 {
                let away = try await read(l2: l2)
                #expect(!away.isChecked)
                #expect(away.bytes == content)
                #expect(away.counts.l1.chunks == 4)
            }
            // L1 has lost its chunks, but not its memory.
            try FileManager.default.removeItem(atPath: fixture("l1/data.mdb"))
            if withL2 {
                let away = try await read(l2: l2)
                #expect(!away.isChecked)
                #expect(away.bytes == content)
                #expect(away.counts.l2.chunks == 4)
            } else {
                let error = await cacheError { try await read() }
                #expect(error?.code == .io)
                #expect(error?.message.contains("acme/image:1") == true)
            }
            store.set(.none)
            #expect(try await read(l2: l2).isChecked)
        }
    }

    @Test func aColdHostReadsManifestsFromL2() async throws {
        try await fixture.push(content)
        try await fixture.withDaemon { url in
            try await read(l1: "one", l2: [url])
            #expect(store.reads("/manifests/") == 2)
            let other = try await read(l1: "other", l2: [url])
            #expect(other.bytes == content)
            #expect(store.reads("/manifests/") == 2)
        }
    }

    @Test func anUnknownRefIsAnErrorThatSaysSo() async throws {
        try await fixture.push(content)
        store.set(.failing)
        let error = await cacheError { try await read() }
        #expect(error?.code == .io)
        #expect(error?.message == "L3 is away and this host has not seen acme/image:1")
        // Without L1 there is nothing to remember in.
        #expect(await cacheError { try await read(l1: nil) }?.message.contains("injected") == true)
    }

    @Test func aHungL3CostsAKnownRefLittleAndAnUnknownOneTheDeadline() async throws {
        try await fixture.push(content)
        try await read()
        store.set(.hanging)
        let away = try await read { $0.refDeadline = .milliseconds(50) }
        #expect(!away.isChecked)
        #expect(away.bytes == content)
        let error = await cacheError { try await read(l1: "other") { $0.l3Deadline = .milliseconds(50) } }
        #expect(error?.code == .timedOut)
        #expect(error?.message.contains("has not seen acme/image:1") == true)
        store.set(.none)
    }

    @Test func aRefThatL3HasNotAnyMoreIsForgotten() async throws {
        try await fixture.push(content)
        try await read()
        #expect(try await RefStore(fixture.store).remove(try fixture.reference))
        let error = await cacheError { try await read() }
        #expect(error?.code == .missing)
        #expect(error?.message.contains("there is no image acme/image:1") == true)
        store.set(.failing)
        #expect(await cacheError { try await read() }?.message.contains("has not seen") == true)
    }

    /// As a mount point is on which nothing is mounted.
    @Test func anEmptyL3IsAway() async throws {
        try await fixture.push(content)
        try await read()
        let empty = try FileObjectStore(root: fixture("empty"), create: true)
        let away = try await read { $0.l3 = empty }
        #expect(!away.isChecked)
        #expect(away.bytes == content)
        #expect(await cacheError { try await read(l1: "other") { $0.l3 = empty } }?.code == .missing)
    }

    @Test func theLastValueCounts() async throws {
        try await fixture.push(content)
        try await read()
        let newer = content.reversed() + [7]
        try await fixture.push(newer)
        #expect(try await read().bytes == newer)
        store.set(.failing)
        #expect(try await read().bytes == newer)
    }

    /// A damaged record of L3 is an error that names it: L3 is there.
    @Test func aDamagedRefIsNoAbsence() async throws {
        try await fixture.push(content)
        try await read()
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: fixture("l3/refs/acme/image/1")))
        let error = await cacheError { try await read() }
        #expect(error?.code == .corrupt)
        #expect(error?.message.contains("refs/acme/image/1") == true)
    }

    /// Damage of what is remembered is a miss.
    @Test func aDamagedMemoryIsNone() async throws {
        try await fixture.push(content)
        try await read()
        let path = fixture("l1/refs")
        var data = try Data(contentsOf: URL(fileURLWithPath: path))
        data[60] ^= 1
        try data.write(to: URL(fileURLWithPath: path))
        store.set(.failing)
        #expect(await cacheError { try await read() }?.message.contains("has not seen") == true)
        store.set(.none)
        #expect(try await read().isChecked)
        store.set(.failing)
        #expect(try await !read().isChecked)
    }

    /// A manifest that L1 or L2 gives back damaged is dropped, counted, and fetched from below.
    @Test(arguments: ["l1", "l2"]) func damagedManifestsAreRepaired(_ tier: String) async throws {
        try await fixture.push(content)
        let manifests = try FileManager.default.subpathsOfDirectory(atPath: fixture("l3")).filter {
            $0.contains("/manifests/") && !$0.hasSuffix("/manifests")
        }.map { try Data(contentsOf: URL(fileURLWithPath: fixture("l3/\($0)"))) }
        func run() async throws -> ReadCounts {
            if tier == "l1" { return try await read().counts }
            return try await fixture.withDaemon { try await read(l1: nil, l2: [$0]).counts }
        }
        _ = try await run()
        let file = URL(fileURLWithPath: fixture("\(tier)/data.mdb"))
        var data = try Data(contentsOf: file)
        var found = 0
        for manifest in manifests {
            while let range = data.range(of: manifest.prefix(64)) {
                data[range.lowerBound + 20] ^= 4
                found += 1
            }
        }
        #expect(manifests.count == 2)
        #expect(found >= 2)
        try data.write(to: file)
        let repaired = try await run()
        #expect((tier == "l1" ? repaired.repairedL1 : repaired.repairedL2) == 2)
        let healed = try await run()
        #expect(healed.repairedL1 == 0)
        #expect(healed.repairedL2 == 0)
        #expect(store.reads("/manifests/") == 4)
    }
}
