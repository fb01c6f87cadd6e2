import CacheClient
import CacheCore
import NIOCore

/// What an agent does: open the cache once, open an image by ref, read what is needed, see where it came from.
///
///     EmbedClient L3-DIRECTORY KEYRING TENANT/NAME:TAG [L1-DIRECTORY [L2-URL]]
@main
struct EmbedClient {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst().map { $0 }
        guard arguments.count >= 3 else {
            return print("usage: EmbedClient L3-DIRECTORY KEYRING REF [L1-DIRECTORY [L2-URL]]")
        }

        var configuration = CacheConfiguration(l3: try ObjectStoreLocation.parse(arguments[0]).open(create: false))
        configuration.l1Directory = arguments.count > 3 ? arguments[3] : nil
        configuration.l1Capacity = 1 << 30
        configuration.l2 = arguments.count > 4 ? [arguments[4]] : []
        let cache = try await LayerCache.open(configuration)

        let image = try await cache.image(
            try ImageReference(parsing: arguments[2]), keyring: try Keyring(contentsOf: arguments[1]))
        for layer in image.layers {
            var hash = SHA256Stream()
            for try await bytes in layer.bytes { bytes.withUnsafeReadableBytes { hash.update($0) } }
            print("layer sha256:\(hash.finish()), \(layer.byteCount) bytes")
            // The first file, and any range of it: only the chunks under the range are fetched.
            for try await file in layer.entries where file.kind == .file {
                var range = ByteBuffer()
                try await layer.read(file, at: Int(clamping: file.size) / 2, count: 4096, into: &range)
                print("\(file.displayPath): \(range.readableBytes) bytes from its middle")
                break
            }
        }
        let counts = image.counts
        print("chunks from L1 \(counts.l1.chunks), L2 \(counts.l2.chunks), L3 \(counts.l3.chunks)")
        try await cache.close()
    }
}
