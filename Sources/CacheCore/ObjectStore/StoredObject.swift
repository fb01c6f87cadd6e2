public import NIOCore

/// An opaque version of an object: equal for as long as its bytes are.
public struct ObjectVersion: Hashable, Sendable {
    public let rawValue: String
    public init(_ rawValue: String) { self.rawValue = rawValue }
}

/// An object's size in bytes and its version.
public struct ObjectInfo: Hashable, Sendable {
    public let size: Int
    public let version: ObjectVersion
    public init(size: Int, version: ObjectVersion) {
        self.size = size
        self.version = version
    }
}

/// An object's bytes and its version.
public struct StoredObject: Sendable {
    public let body: ByteBuffer
    public let version: ObjectVersion
    public init(body: ByteBuffer, version: ObjectVersion) {
        self.body = body
        self.version = version
    }
}
