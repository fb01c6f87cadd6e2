internal import CacheBase
internal import CacheCrypto
internal import CacheFiles

/// `tar:FILE` and `file:FILE`: the bytes of one layer, as they are.
final class SingleLayerWriter: ImageWriter {
    let takesFile: Bool
    private let output: NewFile

    init(_ path: String, takesFile: Bool) throws {
        self.takesFile = takesFile
        output = try NewFile(path)
    }

    func writeLayer(_ source: any ByteSource, index: Int, diffID: SHA256Digest) throws {
        guard index == 0 else {
            throw CacheError(
                .invalidInput, "a tar holds one layer and this image has more: pull it to oci:DIR:TAG or dir:DIR")
        }
        let output = SequentialOutput(output.file)
        try source.drain { try output.write($0) }
        try output.finish()
    }

    func finish(configuration: [UInt8]?, layers: [SHA256Digest]) throws -> [String] {
        guard layers.count == 1 else {
            throw CacheError(.invalidInput, "this image has no layer that could be written to a tar")
        }
        try output.commit()
        return []
    }
}
