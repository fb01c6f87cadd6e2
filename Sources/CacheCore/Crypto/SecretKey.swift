/// A secret of 32 bytes. It prints and dumps as nothing but its type, so that it cannot reach a log.
public struct SecretKey: Sendable, CustomStringConvertible, CustomReflectable {
    package let bytes: SHA256Digest

    package init(_ bytes: SHA256Digest) {
        self.bytes = bytes
    }

    public var description: String { "SecretKey" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension ChunkKey: CustomStringConvertible, CustomReflectable {
    public var description: String { "ChunkKey" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension GenerationSalt: CustomStringConvertible, CustomReflectable {
    public var description: String { "GenerationSalt" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
