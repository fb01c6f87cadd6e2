import CacheCore
import NIOCore
import TestSupport
import Testing

@testable import CacheManifests

/// What `push --repair` makes of a generation's state that is damaged or gone.
@Suite struct StateRepairTests {
    private let scratch: TemporaryDirectory
    private let store: FileObjectStore
    private let object = "generations/000007/state"
    private let whole = KnownAnswers.bytes(KnownAnswers.state)

    init() throws {
        scratch = try TemporaryDirectory()
        store = try scratch.store()
    }

    private func find(_ key: DeploymentKey = KnownAnswers.deployment, repair: Bool = true) async throws
        -> ActiveGeneration
    {
        try await ActiveGeneration.find(in: store, deploymentKey: key, create: true, repair: repair, now: 5)
    }

    private func stored() async throws -> [UInt8] {
        Array(try #require(await store.get(key(object), limit: 1000)).body.readableBytesView)
    }

    @Test func aWholeStateStaysAsItIs() async throws {
        try scratch.write(object, whole)
        #expect(try await find().repair == nil)
        #expect(try await stored() == whole)
    }

    /// All of the plain part but the time is known from elsewhere, and the tag tells that the guess is right.
    @Test func whatCanBeKnownIsRestored() async throws {
        let salt = Key256(KnownAnswers.digest(0xA0..<0xC0))
        for index in Array(0..<16) + Array(24..<40) {
            for change: UInt8 in [0x01, 0x02, 0x80, 0xFF] {
                var damaged = whole
                damaged[index] ^= change
                try scratch.write(object, damaged)
                if index == 6, [2, 3].contains(damaged[6]) {
                    // A status that says that nothing may be written there is believed.
                    continue
                }
                let active = try await find()
                #expect(active.repair == .restored)
                #expect(active.salt.secret == salt)
                #expect(active.generation.number == 7)
                #expect(try await stored() == whole)
            }
        }
        try scratch.write(object, whole + [9])
        #expect(try await find().repair == .restored)
        #expect(try await stored() == whole)
    }

    @Test func aLostSaltIsReplacedOnce() async throws {
        for damaged in [
            [], Array(whole.prefix(99)), [UInt8](repeating: 0, count: 100), [UInt8](repeating: 0xA5, count: 5000),
            Array(whole.prefix(40)) + [UInt8](repeating: 1, count: 60), Array(whole.prefix(16)) + whole.dropFirst(17),
        ] {
            try scratch.write(object, damaged)
            #expect(await failure { try await find(repair: false) } != nil)
            let repaired = try await find()
            #expect(repaired.repair == .newSalt)
            #expect(repaired.generation.number == 7)
            let after = try await find()
            #expect(after.repair == nil)
            #expect(after.salt.secret == repaired.salt.secret)
            #expect(after.salt.secret != Key256(KnownAnswers.digest(0xA0..<0xC0)))
        }
    }

    @Test func aStateThatIsGoneIsMadeAgain() async throws {
        try scratch.write("generations/000003/chunks/aa/x", [1])
        let repaired = try await find()
        #expect(repaired.repair == .newSalt)
        #expect(repaired.generation.number == 3)
        #expect(try await find(repair: false).salt.secret == repaired.salt.secret)
    }

    /// Neither another deployment's state nor one of a newer version is damage.
    @Test func whatIsNoDamageStays() async throws {
        try scratch.write(object, whole)
        #expect(await failure { try await find(DeploymentKey(master: Key256(.zero))) }?.code == .key)
        #expect(try await stored() == whole)
        var newer = whole
        newer[4] = 2
        newer[90] ^= 1
        try scratch.write(object, newer)
        #expect(await failure { try await find() }?.code == .unsupported)
        #expect(try await stored() == newer)
    }

    /// A repair does not look at generations below the active one.
    @Test func onlyTheNewestIsRepaired() async throws {
        let retired = GenerationState.seal(
            GenerationSalt(.zero), generation: try #require(Generation(8)), status: .retired, createdAt: 1,
            key: KnownAnswers.deployment)
        try scratch.write("generations/000008/state", Array(retired.readableBytesView))
        try scratch.write(object, Array(whole.prefix(50)))
        #expect(await failure { try await find() }?.message.contains(object) == true)
        #expect(try await stored() == Array(whole.prefix(50)))
    }
}
