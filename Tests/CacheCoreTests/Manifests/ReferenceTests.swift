import CacheCore
import Foundation
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import CacheManifests

@Suite struct ReferenceTests {
    private let scratch: TemporaryDirectory
    private let store: FileObjectStore
    private let refs: RefStore
    private let keys: TenantKeys
    private let generation: Generation
    private let manifest = ManifestID(KnownAnswers.digest(0x66))

    init() throws {
        scratch = try TemporaryDirectory()
        store = try scratch.store()
        refs = RefStore(store)
        keys = TenantKeys(tenant: try TenantName(parsing: "acme"), master: KnownAnswers.master)
        generation = try #require(Generation(7))
    }

    @Test(arguments: [
        ("acme/app:v1", "refs/acme/app/v1"), ("acme/app", "refs/acme/app/latest"),
        ("a.b/x/y/z:T_1.2-3", "refs/a.b/x~y~z/T_1.2-3"),
        ("acme/a__b.c--d:_", "refs/acme/a__b.c--d/_"),
    ])
    func parses(_ text: String, _ object: String) throws {
        let reference = try ImageReference(parsing: text)
        #expect(L3Layout.ref(reference).rawValue == object)
        #expect(try ImageReference(parsing: reference.description) == reference)
    }

    @Test(arguments: [
        "", "acme", "acme:v1", "/app", "acme/", "acme/:v1", "acme/app:", "acme/App", "acme/app//x", "acme/../x",
        "acme/.x", "acme/x.",
        "acme/a..b", "acme/a___b", "acme/app:-x", "acme/app:.x", "acme/app:a/b", "acme/app@sha256:00", "acme/app:v1:v2",
        "acme/ap p",
        "acme/a~b", "-acme/app", "acme/app:é", "acme/\(String(repeating: "x", count: 201))",
        "acme/app:\(String(repeating: "x", count: 129))",
    ])
    func refuses(_ text: String) async {
        #expect(await failure { try ImageReference(parsing: text) }?.code == .invalidInput)
    }

    @Test func longestReferenceIsAKey() throws {
        let reference = try ImageReference(
            tenant: TenantName(parsing: String(repeating: "t", count: 63)), name: String(repeating: "n", count: 200),
            tag: String(repeating: "g", count: 128))
        #expect(L3Layout.ref(reference).rawValue.utf8.count < ObjectKey.maximumBytes)
    }

    @Test func recordHasTheKnownBytes() throws {
        let record = RefRecord(generation: generation, manifest: manifest, setAt: 1_700_000_000_000)
        #expect(KnownAnswers.hex(record.encoded().readableBytesView) == KnownAnswers.ref)
        #expect(try RefRecord(decoding: record.encoded(), object: key("refs/a/b/c")) == record)
    }

    @Test func setsReadsRemovesAndLists() async throws {
        let names = ["acme/app:v1", "acme/app:v2", "acme/a/b:x", "acme/a/b/x:y", "beta/z:latest"]
        for (number, name) in names.enumerated() {
            let record = RefRecord(generation: generation, manifest: manifest, setAt: UInt64(number))
            try await refs.set(ImageReference(parsing: name), to: record)
            try await refs.set(ImageReference(parsing: name), to: record)
            #expect(try await refs.read(ImageReference(parsing: name)) == record)
        }
        #expect(try await refs.read(ImageReference(parsing: "acme/app:v3")) == nil)
        #expect(try await refs.tenants().names.map(\.rawValue) == ["acme", "beta"])
        #expect(try await refs.names(of: keys.tenant).names == ["app", "a/b", "a/b/x"])
        #expect(
            try await refs.tags(of: keys.tenant, name: "app").references.map(\.description) == [
                "acme/app:v1", "acme/app:v2",
            ])
        let first = try await refs.tags(of: keys.tenant, name: "app", limit: 1)
        #expect(first.references.count == 1)
        #expect(try await refs.tags(of: keys.tenant, name: "app", after: first.next).references.map(\.tag) == ["v2"])
        #expect(try await refs.remove(ImageReference(parsing: "acme/app:v1")))
        #expect(try await !refs.remove(ImageReference(parsing: "acme/app:v1")))
        #expect(try await refs.tags(of: keys.tenant, name: "app").references.map(\.tag) == ["v2"])
    }

    @Test func damagedReferenceIsNamedAndCanBeReplaced() async throws {
        let reference = try ImageReference(parsing: "acme/app:v1")
        let record = RefRecord(generation: generation, manifest: manifest, setAt: 3)
        try await refs.set(reference, to: record)
        let bytes = Array(record.encoded().readableBytesView)
        var variants = (0..<bytes.count).map { Array(bytes.prefix($0)) } + [bytes + [0]]
        for bit in 0..<bytes.count * 8 {
            variants.append(bytes)
            variants[variants.count - 1][bit / 8] ^= 1 << (bit % 8)
        }
        for variant in variants {
            try scratch.write("refs/acme/app/v1", variant)
            let error = await failure { try await refs.read(reference) }
            #expect(error?.code == .corrupt || error?.code == .unsupported)
            #expect(error?.description.contains("refs/acme/app/v1") == true)
        }
        try scratch.write("refs/acme/app/v1", [UInt8](repeating: 0, count: 5000))
        #expect(await failure { try await refs.read(reference) }?.code == .limitExceeded)
        try await refs.set(reference, to: record)
        #expect(try await refs.read(reference) == record)
    }

    @Test func whatANewerVersionWroteIsNotReplaced() async throws {
        let reference = try ImageReference(parsing: "acme/app:v1")
        let record = RefRecord(generation: generation, manifest: manifest, setAt: 3)
        for newer in [Array("LCRF\u{2}\0 and more".utf8), Array("LCRF\u{FF}\u{1}".utf8), Array("LCRF\u{2}\0".utf8)] {
            try scratch.write("refs/acme/app/v1", newer + [UInt8](repeating: 7, count: 5000))
            for error in [
                await failure { try await refs.set(reference, to: record) },
                await failure { try await refs.refuseNewer(reference) },
            ] {
                #expect(error?.code == .unsupported)
                #expect(error?.message.contains("refs/acme/app/v1") == true)
            }
            let kept = try await store.get(key("refs/acme/app/v1"), range: 0..<newer.count)
            #expect(kept.map { Array($0.readableBytesView) } == newer)
        }
    }

    @Test func oneBadReferenceHidesNoOther() async throws {
        for name in ["acme/app:v1", "acme/app:v3", "acme/b/c:x", "beta/z:latest"] {
            let record = RefRecord(generation: generation, manifest: manifest, setAt: 1)
            try await refs.set(ImageReference(parsing: name), to: record)
        }
        try scratch.write("refs/acme/app/v2", [])
        try scratch.write("refs/acme/app/v2.dir/x", [1])
        try scratch.write("refs/acme/stray", [1])
        try scratch.write("refs/Acme/x/y", [1])
        try scratch.write("refs/stray", [1])
        for link in ["refs/acme/app/link", "refs/acme/link", "refs/link"] {
            try FileManager.default.createSymbolicLink(
                atPath: scratch.path + "/" + link, withDestinationPath: "/etc/passwd")
        }
        let listed = try await refs.list(of: nil)
        let good = listed.filter { (try? $0.record.get()) != nil }.map(\.name)
        let bad = listed.filter { (try? $0.record.get()) == nil }.map(\.name)
        #expect(good == ["acme/app:v1", "acme/app:v3", "acme/b/c:x", "beta/z:latest"])
        #expect(
            bad.sorted() == [
                "acme/app:v2", "refs/Acme/", "refs/acme/app/link", "refs/acme/app/v2.dir/", "refs/acme/link",
                "refs/acme/stray", "refs/link", "refs/stray",
            ])
        #expect(try await refs.list(of: TenantName(parsing: "beta")).map(\.name) == ["beta/z:latest"])
        #expect(try await refs.list(of: TenantName(parsing: "nobody")).isEmpty)
    }

    @Test func aStoreThatDoesNotAnswerIsNoListOfProblems() async throws {
        try await refs.set(
            ImageReference(parsing: "acme/app:v1"),
            to: RefRecord(generation: generation, manifest: manifest, setAt: 1))
        for call in ["list", "get"] {
            let away = FaultyObjectStore(store) { name, _, moment in
                if name == call, moment == .before { throw CacheError(.timedOut, "no answer") }
            }
            #expect(await failure { try await RefStore(away).list(of: nil) }?.code == .timedOut, "\(call)")
        }
    }

    @Test func setIsBoundedWhenOthersAlwaysWin() async throws {
        let reference = try ImageReference(parsing: "acme/app:v1")
        let record = RefRecord(generation: generation, manifest: manifest, setAt: 3)
        let tries = Mutex(0)
        let base = store
        let busy = FaultyObjectStore(base) { call, _, moment in
            if call == "replace", moment == .before {
                let number = tries.withLock {
                    $0 += 1; return $0
                }
                try scratch.write("refs/acme/app/v1", [UInt8(number)])
            }
        }
        #expect(await failure { try await RefStore(busy).set(reference, to: record) }?.code == .conflict)
        #expect(tries.withLock { $0 } == 16)
    }

    @Test func layerIndexRemembersTheFirstManifest() async throws {
        let index = LayerIndex(store, generation: generation, keys: keys)
        let layer = LayerIndex.Layer(kind: .tar, packingVersion: 2, codecPolicy: 3, diffID: KnownAnswers.digest(0x55))
        #expect(try await index.find(layer) == nil)
        #expect(try await index.record(layer, as: manifest) == manifest)
        let object = "generations/000007/layers/\(KnownAnswers.layerIndexName)"
        let stored = try #require(await store.get(key(object), limit: 100)).body
        #expect(KnownAnswers.hex(stored.readableBytesView) == KnownAnswers.layerIndex)
        let other = ManifestID(KnownAnswers.digest(0x77))
        #expect(try await index.record(layer, as: other) == manifest)
        #expect(try await index.record(layer, as: other, replacing: other) == manifest)
        #expect(try await index.record(layer, as: other, replacing: manifest) == other)
        #expect(try await index.find(layer) == other)
        for changed in [
            LayerIndex.Layer(kind: .file, packingVersion: 2, codecPolicy: 3, diffID: layer.diffID),
            LayerIndex.Layer(kind: .tar, packingVersion: 1, codecPolicy: 3, diffID: layer.diffID),
            LayerIndex.Layer(kind: .tar, packingVersion: 2, codecPolicy: 0, diffID: layer.diffID),
            LayerIndex.Layer(kind: .tar, packingVersion: 2, codecPolicy: 3, diffID: .zero),
        ] { #expect(try await index.find(changed) == nil) }
        let stranger = TenantKeys(tenant: keys.tenant, master: Key256(.zero))
        #expect(try await LayerIndex(store, generation: generation, keys: stranger).find(layer) == nil)
        try scratch.write(object, [1, 2, 3])
        let error = await failure { try await index.find(layer) }
        #expect(error?.code == .corrupt)
        #expect(error?.description.contains(object) == true)
    }
}
