import CacheCore
import NIOCore
import TestSupport
import Testing

@testable import CacheManifests

@Suite struct GenerationTests {
    private let scratch: TemporaryDirectory
    private let store: FileObjectStore

    init() throws {
        scratch = try TemporaryDirectory()
        store = try scratch.store()
    }

    private func find(_ key: DeploymentKey = KnownAnswers.deployment, create: Bool = true) async throws
        -> ActiveGeneration
    {
        try await ActiveGeneration.find(in: store, deploymentKey: key, create: create, now: 5)
    }

    @Test func firstOneIsCreatedOnceAndFoundAgain() async throws {
        #expect(await failure { try await find(create: false) }?.code == .missing)
        let salts = try await withThrowingTaskGroup { group in
            for _ in 0..<10 { group.addTask { try await find() } }
            return try await group.reduce(into: [Key256]()) { $0.append($1.salt.secret) }
        }
        #expect(Set(salts).count == 1)
        #expect(salts[0] != Key256(.zero))
        let again = try await find(create: false)
        #expect(again.salt.secret == salts[0])
        #expect(again.generation.name == "000001")
        #expect(scratch.names("generations") == ["000001"])
    }

    @Test func stateHasTheKnownBytes() throws {
        let object = try key("generations/000007/state")
        let sealed = ByteBuffer(bytes: KnownAnswers.bytes(KnownAnswers.state))
        let state = try GenerationState(reading: sealed, object: object)
        #expect(state.generation.number == 7)
        #expect(state.status == .active)
        #expect(state.createdAt == 1_700_000_000_000)
        let salt = try GenerationState.openSalt(of: sealed, with: KnownAnswers.deployment, object: object)
        #expect(salt.secret == Key256(KnownAnswers.digest(0xA0..<0xC0)))
        let ours = GenerationState.seal(
            salt, generation: state.generation, status: .active, createdAt: state.createdAt,
            key: KnownAnswers.deployment)
        #expect(ours.getSlice(at: 0, length: 40) == sealed.getSlice(at: 0, length: 40))
        #expect(ours.readableBytes == 100)
    }

    @Test func changedStateIsAnErrorThatNamesIt() async throws {
        let bytes = KnownAnswers.bytes(KnownAnswers.state)
        for index in bytes.indices {
            for change: UInt8 in [0x01, 0x02, 0x80, 0xFF] {
                var changed = bytes
                changed[index] ^= change
                try scratch.write("generations/000007/state", changed)
                let error = await failure { try await find(create: false) }
                #expect(error.map { [.corrupt, .key, .unsupported, .missing].contains($0.code) } == true)
                // A changed status is believed only to mean that nothing may be written there.
                #expect(error?.code == .missing || error?.message.contains("generations/000007/state") == true)
            }
        }
        for count in 0..<bytes.count {
            try scratch.write("generations/000007/state", Array(bytes.prefix(count)))
            #expect(await failure { try await find() }?.code == .corrupt)
        }
    }

    @Test func wrongDeploymentKeySaysWhatToDo() async throws {
        _ = try await find()
        let error = await failure { try await find(DeploymentKey(master: Key256(.zero))) }
        #expect(error?.code == .key)
        #expect(error?.message.contains("deployment key") == true)
    }

    @Test func newOneFollowsARetiredOne() async throws {
        let retired = GenerationState.seal(
            GenerationSalt(.zero), generation: try #require(Generation(41)), status: .retired, createdAt: 1,
            key: KnownAnswers.deployment)
        _ = try await store.putIfAbsent(key("generations/000041/state"), retired)
        #expect(try await find().generation.number == 42)
        #expect(try await ActiveGeneration.generations(in: store).map(\.number) == [41, 42])
    }

    @Test func lostStateIsNotReplaced() async throws {
        try scratch.write("generations/000003/chunks/aa/x", [1])
        let error = await failure { try await find() }
        #expect(error?.code == .missing)
        #expect(error?.message.contains("generations/000003/state") == true)
    }

    @Test func lostAnswerOfTheFirstPutDoesNoHarm() async throws {
        let faulty = FaultyObjectStore(store) { call, _, moment in
            if call == "put", moment == .after { throw CacheError(.timedOut, "no answer") }
        }
        let error = await failure {
            try await ActiveGeneration.find(in: faulty, deploymentKey: KnownAnswers.deployment, create: true, now: 1)
        }
        #expect(error?.code == .timedOut)
        #expect(try await find().generation.number == 1)
    }
}
