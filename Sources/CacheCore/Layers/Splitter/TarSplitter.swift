internal import CacheBase

/// Says of each byte of a tar whether it is content, metadata or something odd that is kept as it is.
///
/// Whatever the ``TarReader`` makes of an archive, the bytes that come back are the same.
struct TarSplitter {
    private enum State {
        case blocks
        /// In the content of the entry that begins at `offset`.
        case content(DataRun, path: [UInt8], offset: UInt64)
        /// After the end of the archive, where anything may follow.
        case trailer
    }

    private let limits: LayerLimits
    private var state = State.blocks
    private var reader: TarReader

    /// Garbage after the end that is at least this long is kept in the data region, not in the skeleton.
    private static let trailerRunBytes = 64 * 1024

    init(limits: LayerLimits) {
        self.limits = limits
        reader = TarReader(limits: limits)
    }

    /// Goes on by one block, one piece of a content, or one piece of what follows the end; `false` at the end of the
    /// source.
    mutating func step(_ input: SplitterInput, _ output: inout LayerWriter) throws -> Bool {
        switch state {
        case .blocks: return try block(input, &output)
        case .content(let run, let path, let offset):
            switch try output.fill(from: input) {
            case .more: break
            case .finished: try padding(after: run, path, offset, input, &output)
            case .truncated:
                throw reader.error(TarFault("the archive ends inside its content"), path, at: offset)
            }
            return true
        case .trailer: return try trailer(input, &output)
        }
    }

    private mutating func block(_ input: SplitterInput, _ output: inout LayerWriter) throws -> Bool {
        let offset = input.offset
        let block = try input.peek(TarBlock.byteCount)
        guard block.count == TarBlock.byteCount else {
            try reader.checkEnd(unmarked: block, at: offset)
            return false
        }
        switch try reader.take(block, at: offset) {
        case .described(let kind):
            output.block(block, kind)
            input.skip(block.count)
        case .entry(var entry, let kind):
            output.block(block, kind)
            input.skip(block.count)
            if entry.stored > 0 {
                let run = output.place(entry.stored, path: entry.path)
                if entry.entry?.kind == .file { entry.entry?.content = run }
                state = .content(run, path: entry.path, offset: offset)
            }
            if let entry = entry.entry { try add(entry, &output) }
        case .zeros:
            let mark = try input.peek(2 * TarBlock.byteCount)
            try reader.checkEnd(UnsafeRawBufferPointer(rebasing: mark[TarBlock.byteCount...]), at: offset)
            state = .trailer
        }
        return true
    }

    private func add(_ entry: LayerEntry, _ output: inout LayerWriter) throws {
        guard output.entryCount < limits.entries else {
            throw Limit.layerEntries.exceeded("the archive has more than \(limits.entries) entries")
        }
        output.entry(entry)
    }

    private mutating func padding(
        after run: DataRun, _ path: [UInt8], _ offset: UInt64, _ input: SplitterInput, _ output: inout LayerWriter
    ) throws {
        let count = (TarBlock.byteCount - Int(run.length % UInt64(TarBlock.byteCount))) % TarBlock.byteCount
        let bytes = try input.peek(count)
        guard bytes.count == count else {
            throw reader.error(TarFault("the archive ends inside its last block"), path, at: offset)
        }
        if TarBlock.isZero(bytes) {
            output.data(run, padding: count)
        } else {
            output.data(run, padding: 0)
            output.literal(bytes)
        }
        input.skip(count)
        state = .blocks
    }

    private func trailer(_ input: SplitterInput, _ output: inout LayerWriter) throws -> Bool {
        let bytes = try input.peek(SplitterInput.bufferBytes)
        guard !bytes.isEmpty else { return false }
        let zeros = TarBlock.leadingZeros(bytes)
        if zeros > 0 {
            output.zeros(zeros)
            input.skip(zeros)
        } else if bytes.count < Self.trailerRunBytes {
            output.literal(bytes)
            input.skip(bytes.count)
        } else {
            let run = output.place(UInt64(bytes.count), path: [])
            while case .more = try output.fill(from: input) {}
            output.data(run, padding: 0)
        }
        return true
    }
}
