internal import FoundationEssentials

/// JSON from outside: held to a size and a depth before a parser sees it.
package enum JSONDocument {
    /// Parses `bytes` as `type`; `name` is what messages call the document.
    package static func decode<Value: Decodable>(
        _ type: Value.Type, from bytes: [UInt8], name: String, limits: ImportLimits
    ) throws -> Value {
        guard bytes.count <= limits.documentBytes else {
            throw Limit.documentBytes.exceeded(
                "\(name) has more than \(Limit.documentBytes.text(limits.documentBytes))")
        }
        guard depth(of: bytes) <= limits.documentDepth else {
            throw Limit.documentDepth.exceeded("\(name) nests deeper than \(limits.documentDepth) levels")
        }
        return try parse(type, bytes, name)
    }

    /// The same for a document of our own, whose bytes are bounded already and whose depth is known.
    package static func decode<Value: Decodable>(
        _ type: Value.Type, from bytes: [UInt8], name: String, depth maximum: Int
    ) throws -> Value {
        guard depth(of: bytes) <= maximum else {
            throw CacheError(.invalidInput, "\(name) nests deeper than the \(maximum) levels that it can have")
        }
        return try parse(type, bytes, name)
    }

    private static func parse<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8], _ name: String) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch let error as DecodingError {
            throw CacheError(.invalidInput, "\(name) is not what it should be: \(reason(error))")
        }
    }

    /// The same bytes for the same value on every machine: sorted keys, no white space.
    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try [UInt8](encoder.encode(value))
    }

    /// How deep arrays and objects nest. A recursive parser would use stack for each level, and stacks are small.
    private static func depth(of bytes: [UInt8]) -> Int {
        bytes.withUnsafeBufferPointer { bytes in
            var depth = 0
            var deepest = 0
            var inString = false
            var index = 0
            while index < bytes.count {
                let byte = bytes[index]
                if inString {
                    if byte == UInt8(ascii: "\\") { index += 1 }
                    if byte == UInt8(ascii: "\"") { inString = false }
                } else if byte == UInt8(ascii: "\"") {
                    inString = true
                } else if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") {
                    depth += 1
                    deepest = max(deepest, depth)
                } else if byte == UInt8(ascii: "]") || byte == UInt8(ascii: "}") {
                    depth -= 1
                }
                index += 1
            }
            return deepest
        }
    }

    private static func reason(_ error: DecodingError) -> String {
        func place(_ context: DecodingError.Context) -> String {
            let path = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }
            return path.isEmpty ? "at its top" : "at \(path.joined(separator: "."))"
        }
        return switch error {
        case .keyNotFound(let key, let context): "'\(key.stringValue)' is missing \(place(context))"
        case .typeMismatch(_, let context), .valueNotFound(_, let context): "wrong type of value \(place(context))"
        case .dataCorrupted(let context): "malformed JSON \(place(context))"
        @unknown default: "malformed JSON"
        }
    }
}
