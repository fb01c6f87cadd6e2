import CacheCore
import NIOCore

/// What Tests/Vectors/keys_manifests.py prints, which shares no code with this project.
enum KnownAnswers {
    static let master = Key256(digest(0..<32))
    static let deployment = DeploymentKey(master: Key256(digest(100..<132)))

    static let gcm = """
        32333435363738393a3b3c3da72f9ba1a657a18219278ee72c8393d9a0734ff1b37e5ee765848c069ed6
        """
    static let gcmEmpty = "000000000000000000000000f05d76ae4ab99fe5a6f69b3148c2363d"
    static let hkdf = "548d849c0519cbc91fca6e1a1aa3c8760e82c141fbac45f9267d942b57499a17"
    static let wrapKey = "2491c5ffd72bc4156a2ae504824d6290690fcccd8b80f5ac79eced01bf96d2fe"
    static let indexKey = "9fa0fe5446bd7b1e4ca34352796a9693330e0bc3bd2ed34cccbd68ad10497d6b"
    static let tenantID = "726494e23c4e8c9c80a03281435f9abe"
    static let saltWrapKey = "8a32a28a2b6b3968a971c04d45f3a15bf61dadb493d3f6fc1b96e0ad8b5ecbdf"
    static let deploymentID = "6cfa637a606c12028d2290b5b1baa39d"
    static let state = """
        4c4353540100010007000000000000000068e5cf8b0100006cfa637a606c12028d2290b5b1baa39d0001020304050607\
        08090a0bb8c21e582686476384f2d1ec7150b609aa4811a5e4bda1339361ab541a7d0a9df258aa55d68c071ff6495e31\
        bdc3c06d
        """
    static let layerID = "0797ecf9dd3a6f0017f53eb7b4c51e8e6dcf78f6ea388bf4aebd5a7309ed273c"
    static let layer = """
        4c434d46010001000700000000000000726494e23c4e8c9c80a03281435f9abe02000000111111111111111111111111\
        1111111111111111111111111111111111111111e8030000222222222222222222222222222222222222222222222222\
        2222222222222222bc020000000102030405060708090a0bcf4cec68d40f754e355c3746a67a5bcd5f390b8aed3c06fb\
        2f0afdee2fe4f21ef654d8905c3724387cea8d6696b10f951415161718191a1b1c1d1e1f3c490901d53b6cedc0059557\
        076e6f8ffd60fa36eb742c1d9fa080463d83dd4480b44163b1e3c030efae8e15f9ca18b9c818704a2814063c5932e6df\
        9590491e3191d312ee17c189e26d871d9bc33cc59838fcf71f9e9b7b87a6972b70924a95a8cc877164fb31218fc84683\
        876165a52b584a3974381e5eed5ce4f3871ec6dc3fe85c64dfb8b5bccd2b95bc5b74c75f0834a63032bc90044022b556\
        0f43692c44204c9758227d59118ec337
        """
    static let imageID = "95dfc38ca5528ad26e5fe60080e9ee112c3ba57fa802a078419ee1e55aa7d8c7"
    static let image = """
        4c434d46010002000700000000000000726494e23c4e8c9c80a03281435f9abe01000000666666666666666666666666\
        6666666666666666666666666666666666666666000102030405060708090a0bcf4cec68d40f754e355c3746a67a5bcd\
        5f390b8aed3c06fb2f0afdee2fe4f21eb76743e4e2807a6cfd60832e2815a2461415161718191a1b1c1d1e1f3c4a0b01\
        d73b6ced9450c00229466f8ffd60fa36eb742c1d9fa080463d83dd4480b44163b1e3c030fa19da40ac9f585bc018704a\
        2814942c5a32e6df94904d1e3191b173ae41f3bad15edf28a8f00f8168bdbdb044da18a7b944206122c9a3bf776cd48e\
        5e
        """
    static let ref = """
        4c4352460100000007000000000000006666666666666666666666666666666666666666666666666666666666666666\
        0068e5cf8b010000532eb81c265a06d2
        """
    static let layerIndexName = "b6b51ab77fc148b6fa2ec04fa623a9f2cb60e85f610abf07cb13ad3272461cee"
    static let layerIndex = """
        4c434c49010000006666666666666666666666666666666666666666666666666666666666666666fbe12975db2ff5f1
        """

    static let rememberedRef = """
        4c43524d01000000c99d12c08d1a2374cc883f424cf7fa2f00505c18a301000007000000000000006666666666666666\
        6666666666666666666666666666666666666666666666660068e5cf8b01000077777777777777777777777777777777\
        77777777777777777777777777777777568af91c23fb1f9a862d4c11e4f831aa
        """

    static func digest(_ bytes: some Sequence<UInt8>) -> SHA256Digest {
        Array(bytes).withUnsafeBytes { SHA256Digest(bytes: $0) ?? .zero }
    }

    /// 32 times the same byte.
    static func digest(_ byte: UInt8) -> SHA256Digest { digest(repeatElement(byte, count: 32)) }

    static func bytes(_ hex: String) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = hex[...]
        while let byte = UInt8(rest.prefix(2), radix: 16) {
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        return bytes
    }

    static func hex(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}
