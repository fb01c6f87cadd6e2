internal import CacheFiles

/// The source of a layer, whose errors are set apart from those of the splitter that reads it: ``Failure``.
///
/// A source names its file in its errors; the splitter knows bytes and entries, but no file.
final class LayerReading: ByteSource {
    /// An error of the source itself.
    struct Failure: Error {
        let error: any Error
    }

    private let source: any ByteSource

    init(_ source: any ByteSource) { self.source = source }

    /// - Throws: ``Failure``.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        do { return try source.read(into: buffer) } catch { throw Failure(error: error) }
    }
}
