internal import FoundationEssentials

/// JSON from outside: held to a size and a depth before a parser sees it.
package enum JSONDocument {
    /// Parses `bytes` as `type`; `name` is what messages call the document.
    package static func decode<Value: Decodable>(
        _ type: Value.Type, from bytes: [UInt8], name: String, limits: JSONLimits
    ) throws -> Value {
        guard bytes.count <= limits.bytes else {
            throw Limit.documentBytes.exceeded(
                "\(name) has more than \(Limit.documentBytes.text(limits.bytes))")
        }
        return try parse(type, bytes, name, depth: limits.depth) {
            Limit.documentDepth.exceeded("\(name) nests deeper than \(limits.depth) levels")
        }
    }

    /// The same for a document of our own, whose bytes are bounded already and whose depth is known.
    package static func decode<Value: Decodable>(
        _ type: Value.Type, from bytes: [UInt8], name: String, depth: Int
    ) throws -> Value {
        try parse(type, bytes, name, depth: depth) {
            CacheError(.invalidInput, "\(name) nests deeper than the \(depth) levels that it can have")
        }
    }

    private static func parse<Value: Decodable>(
        _ type: Value.Type, _ bytes: [UInt8], _ name: String, depth: Int, tooDeep: () -> CacheError
    ) throws -> Value {
        let text: JSONText
        do throws(JSONText.Fault) {
            text = try JSONText(bytes, depthLimit: depth)
        } catch .isTooDeep {
            throw tooDeep()
        } catch .hasControls {
            throw CacheError(.invalidInput, "\(name) is not what it should be: a string has a control character in it")
        } catch .isMalformed(let place) {
            throw CacheError(.invalidInput, "\(name) is not what it should be: malformed JSON at byte \(place)")
        }
        let decoder = JSONDecoder()
        // Go finds a field of a structure whatever the case of its name.
        decoder.keyDecodingStrategy = .custom { path in
            AnyName(path.last.map { field($0.stringValue) } ?? "")
        }
        do {
            return try decoder.decode(type, from: Data(text.bytes))
        } catch let error as DecodingError {
            throw CacheError(.invalidInput, "\(name) is not what it should be: \(reason(error))")
        }
    }

    /// The field of that name, in whatever case it is written; the name itself if there is none.
    static func field(_ name: String) -> String {
        // Go folds the two letters that are not ASCII and have a case that is; of `K` the lower case is ASCII here,
        // too.
        let folded = name.lowercased().replacing("\u{17F}", with: "s")
        return fields[folded] ?? name
    }

    /// The fields of an image's documents, by their names in lower case.
    private static let fields = Dictionary(
        uniqueKeysWithValues: [
            "mediaType", "manifests", "config", "layers", "digest", "size", "platform", "annotations", "artifactType",
            "architecture", "os", "variant", "rootfs", "diff_ids", "repoTags",
        ].map { ($0.lowercased(), $0) })

    private struct AnyName: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.init(stringValue) }
        init?(intValue: Int) { nil }
    }

    /// The same bytes for the same value on every machine: sorted keys, no white space.
    package static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try [UInt8](encoder.encode(value))
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
