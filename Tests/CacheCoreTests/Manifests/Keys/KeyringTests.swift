import CacheCore
import Foundation
import TestSupport
import Testing

@testable import CacheManifests

@Suite struct KeyringTests {
    private let scratch: TemporaryDirectory
    private var file: String { scratch.path + "/keyring.json" }

    init() throws { scratch = try TemporaryDirectory() }

    private func tenant(_ name: String) throws -> TenantName { try TenantName(parsing: name) }

    private func permissions(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    @Test func makesTheFileAndAddsTenants() throws {
        let old = umask(0)
        defer { umask(old) }
        try Keyring.add(tenant("acme"), toFile: file)
        #expect(try permissions(file) == 0o600)
        let first = try Keyring(contentsOf: file)
        try Keyring.add(tenant("other"), toFile: file)
        #expect(try permissions(file) == 0o600)
        let both = try Keyring(contentsOf: file)
        #expect(both.tenants.map(\.rawValue) == ["acme", "other"])
        #expect(try both.requireDeploymentKey().id == first.requireDeploymentKey().id)
        #expect(try both.keys(for: tenant("acme")).id == first.keys(for: tenant("acme")).id)
        #expect(try both.keys(for: tenant("acme")).id != both.keys(for: tenant("other")).id)
        #expect(scratch.names() == ["keyring.json"])
    }

    @Test func neverOverwritesAKey() async throws {
        try Keyring.add(tenant("acme"), toFile: file)
        let before = try Data(contentsOf: URL(fileURLWithPath: file))
        let error = await failure { try Keyring.add(tenant("acme"), toFile: file) }
        #expect(error?.code == .conflict)
        #expect(error?.message.contains("acme") == true)
        #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == before)
        #expect(scratch.names() == ["keyring.json"])
    }

    @Test func deploymentKeyIsLeftOutOrCopied() async throws {
        let worker = scratch.path + "/worker.json"
        let second = scratch.path + "/second.json"
        try Keyring.add(tenant("acme"), toFile: file)
        try Keyring.add(tenant("acme"), toFile: worker, deployment: .none)
        try Keyring.add(tenant("beta"), toFile: second, deployment: .copy(from: file))
        let missing = await failure { try Keyring(contentsOf: worker).requireDeploymentKey() }
        #expect(missing?.code == .key)
        #expect(missing?.message.contains(worker) == true)
        #expect(
            try Keyring(contentsOf: second).requireDeploymentKey().id
                == Keyring(contentsOf: file).requireDeploymentKey().id)
        let other = scratch.path + "/other.json"
        try Keyring.add(tenant("x"), toFile: other)
        let conflict = await failure { try Keyring.add(tenant("y"), toFile: other, deployment: .copy(from: file)) }
        #expect(conflict?.code == .conflict)
        #expect(try Keyring(contentsOf: other).tenants.map(\.rawValue) == ["x"])
        let none = await failure { try Keyring.add(tenant("y"), toFile: other, deployment: .copy(from: worker)) }
        #expect(none?.code == .key)
    }

    @Test func wrongTenantAndMissingFileSayWhatToDo() async throws {
        let missing = await failure { try Keyring(contentsOf: file) }
        #expect(missing?.code == .missing)
        #expect(missing?.message.contains("layercache keygen") == true)
        try Keyring.add(tenant("acme"), toFile: file)
        let wrong = await failure { try Keyring(contentsOf: file).keys(for: tenant("beta")) }
        #expect(wrong?.code == .key)
        #expect(wrong?.message.contains("beta") == true)
        #expect(wrong?.message.contains(file) == true)
    }

    @Test(arguments: [0o640, 0o604, 0o644, 0o660, 0o610])
    func refusesAFileThatOthersMayUse(_ mode: Int) async throws {
        try Keyring.add(tenant("acme"), toFile: file)
        #expect(chmod(file, mode_t(mode)) == 0)
        for error in [
            await failure { try Keyring(contentsOf: file) },
            await failure { try Keyring.add(tenant("beta"), toFile: file) },
        ] {
            #expect(error?.code == .key)
            #expect(error?.message.contains("chmod 600 \(file)") == true)
        }
    }

    @Test func concurrentAdditionsAllCount() async throws {
        let children = try (0..<4).map {
            try ChildProcess(built: "object-exerciser", ["keygen", file, "t\($0)-", "8"])
        }
        for child in children { try await child.wait().succeeded() }
        #expect(try Keyring(contentsOf: file).tenants.count == 32)
        #expect(scratch.names() == ["keyring.json"])
    }

    @Test func addsThroughASymbolicLink() throws {
        try Keyring.add(tenant("acme"), toFile: file)
        let link = scratch.path + "/link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: file)
        try Keyring.add(tenant("beta"), toFile: link)
        #expect(try Keyring(contentsOf: file).tenants.count == 2)
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == file)
    }

    @Test(arguments: ["nowhere", "gone/keys.json", "/nonexistent-volume/keys.json", "link"])
    func aLinkThatLeadsNowhereIsNamed(_ target: String) async throws {
        let link = scratch.path + "/link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: target)
        for error in [
            await failure { try Keyring(contentsOf: link) },
            await failure { try Keyring.add(tenant("acme"), toFile: link) },
        ] {
            #expect(error?.code == (target == "link" ? .io : .invalidInput) || error?.code == .invalidInput)
            #expect(error?.message.contains(link) == true, "\(error as Any)")
            if target != "link" { #expect(error?.message.contains(target) == true, "\(error as Any)") }
        }
        #expect(scratch.names() == ["link"])
    }

    @Test func whatThisBuildDoesNotKnowIsNotLost() async throws {
        for text in [
            #"{"version": 1, "tenants": [], "policy": 3}"#,
            #"{"version": 1, "tenants": [{"name": "a", "key": "\#(Self.key)", "until": 5}]}"#,
            #"{"version": 2, "rings": {"a": 1}}"#,
        ] {
            try scratch.write("keyring.json", Array(text.utf8))
            #expect(chmod(file, 0o600) == 0)
            let error = await failure { try Keyring.add(tenant("beta"), toFile: file) }
            #expect(error?.code == .unsupported, "\(error as Any)")
            #expect(try String(contentsOfFile: file, encoding: .utf8) == text)
        }
        // An unknown member hinders only writing, which would lose it; reading goes on.
        try scratch.write("keyring.json", Array(#"{"version": 1, "tenants": [], "policy": 3}"#.utf8))
        #expect(chmod(file, 0o600) == 0)
        #expect(try Keyring(contentsOf: file).tenants.isEmpty)
    }

    private static let key = String(repeating: "ab", count: 32)

    @Test(arguments: [
        ("", CacheError.Code.invalidInput), ("{", .invalidInput), ("[]", .invalidInput), ("null", .invalidInput),
        (#"{"version": 2, "tenants": []}"#, .unsupported), (#"{"version": "1", "tenants": []}"#, .invalidInput),
        (#"{"version": 1}"#, .invalidInput), (#"{"version": 99999999999999999999, "tenants": []}"#, .invalidInput),
        (
            #"{"version": 1, "tenants": [{"name": "a", "key": "\#(key)"}, {"name": "a", "key": "\#(key)"}]}"#,
            .invalidInput
        ),
        (#"{"version": 1, "tenants": [{"name": "../a", "key": "\#(key)"}]}"#, .invalidInput),
        (#"{"version": 1, "tenants": [{"name": "a", "key": "\#(key)00"}]}"#, .invalidInput),
        (#"{"version": 1, "tenants": [{"name": "a", "key": "\#(key.dropLast())"}]}"#, .invalidInput),
        (#"{"version": 1, "deploymentKey": "\#(key.uppercased())", "tenants": []}"#, .invalidInput),
        (String(repeating: "[", count: 100_000), .invalidInput),
        (#"{"version": 1, "tenants": []}"# + String(repeating: " ", count: 1 << 20), .limitExceeded),
    ])
    func hostileContent(_ text: String, _ code: CacheError.Code) async throws {
        try scratch.write("keyring.json", Array(text.utf8))
        #expect(chmod(file, 0o600) == 0)
        let error = await failure { try Keyring(contentsOf: file) }
        #expect(error?.code == code, "\(error as Any)")
        #expect(error?.description.contains(file) == true, "\(error as Any)")
        #expect(error?.description.contains("abab") == false)
    }

    @Test func changedBytesNeverTrap() throws {
        try Keyring.add(tenant("acme"), toFile: file)
        try Keyring.add(tenant("beta"), toFile: file)
        let text = try [UInt8](Data(contentsOf: URL(fileURLWithPath: file)))
        var random = SeededGenerator()
        let secrets = [0, 1, 2].compactMap {
            String(decoding: text, as: UTF8.self).split(separator: "\"").filter { $0.count == 64 }[$0]
        }
        for _ in 0..<1000 {
            var changed = text
            changed[Int.random(in: 0..<changed.count, using: &random)] = .random(in: 0...255, using: &random)
            if Bool.random(using: &random) { changed.removeLast(Int.random(in: 0..<changed.count, using: &random)) }
            do {
                _ = try Keyring(parsing: changed, path: file)
            } catch let error as CacheError {
                #expect(!secrets.contains { error.description.contains($0) }, "seed \(random.seed)")
            }
        }
    }

    @Test(arguments: ["a", "0", "a.b_c-d", String(repeating: "x", count: 63)])
    func tenantNames(_ name: String) { #expect(TenantName(name)?.rawValue == name) }

    @Test(arguments: ["", ".a", "-a", "_a", "A", "a/b", "a b", "ä", "a\n", String(repeating: "x", count: 64)])
    func noTenantNames(_ name: String) { #expect(TenantName(name) == nil) }
}
