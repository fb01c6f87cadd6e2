package import CacheBase
public import CacheChunks
public import CacheFiles

/// Turns the bytes of a layer into the plaintext chunks of its data region, skeleton and entry table.
///
/// It pulls from its source no more than the next chunk needs, on the thread of the caller, and holds less than 4 MiB
/// whatever the size of the layer. Beside SHA-256 of the source it costs about one copy of its bytes.
public final class LayerSplitter {
    private let input: SplitterInput
    private let kind: LayerKind
    private var tar: TarSplitter
    private var output: LayerWriter
    private var hasEnded = false
    private var failure: (any Error)?

    /// Valid once ``next()`` has returned `nil`.
    public private(set) var summary = LayerSummary()

    public convenience init(_ source: any ByteSource, kind: LayerKind, limits: LayerLimits = LayerLimits()) {
        self.init(
            source, kind: kind, limits: limits, buffers: BufferPool(bytes: ChunkLimits.plainBytes, maximumIdle: 0))
    }

    /// - Parameter buffers: where the memory of data chunks comes from; who takes the chunks may give it back there.
    package init(_ source: any ByteSource, kind: LayerKind, limits: LayerLimits, buffers: BufferPool) {
        self.kind = kind
        output = LayerWriter(buffers: buffers)
        input = SplitterInput(source, limits: limits)
        tar = TarSplitter(limits: limits)
    }

    /// The next complete chunk, or `nil` after the last one. Blocks in the source's `read`.
    ///
    /// Chunks of one stream may come out of order, each slot once.
    /// - Throws: ``CacheError``, `invalidInput` for what is no tar, `limitExceeded`, or what the source throws; every
    ///   later call too.
    public func next() throws -> PlainChunk? {
        if let failure { throw failure }
        do {
            while true {
                if let chunk = output.nextChunk() { return chunk }
                if hasEnded { return nil }
                if try !step() { finish() }
            }
        } catch {
            failure = error
            throw error
        }
    }

    /// Goes on by one block, one piece of a content, or one slot; `false` at the end of the source.
    private func step() throws -> Bool {
        switch kind {
        case .tar: try tar.step(input, &output)
        case .file: try output.fillSlot(from: input)
        }
    }

    private func finish() {
        output.finish()
        hasEnded = true
        summary.byteCount = input.offset
        summary.diffID = input.finishDigest()
        summary.entryCount = output.entryCount
        summary.slots = output.slots
    }
}
