/// Walks a tar of any dialect and says of each byte whether it is content, metadata or something odd that is kept as it is.
///
/// Whatever it makes of an archive, the bytes that come back are the same; what it must get right is where entries begin, and what the
/// entry table says about them, which is what Go's `archive/tar`, and so the container runtimes, would say.
struct TarSplitter {
    private enum State {
        case header
        /// In the content of the entry that begins at `offset`.
        case content(DataRun, path: [UInt8], offset: UInt64)
        /// After the first block of zeros where a header could be: for all readers, the archive ends there.
        case trailer
    }

    private let limits: LayerLimits
    private var state = State.header
    private var headers: TarExtendedHeaders

    /// Garbage after the end that is at least this long is kept in the data region, not in the skeleton.
    private static let trailerRunBytes = 64 * 1024

    init(limits: LayerLimits) {
        self.limits = limits
        headers = TarExtendedHeaders(limits: limits)
    }

    /// Goes on by one header, one piece of a content, or one piece of what follows the end; `false` at the end of the source.
    mutating func step(_ input: SplitterInput, _ output: inout LayerWriter) throws -> Bool {
        switch state {
        case .header: return try header(input, &output)
        case .content(let run, let path, let offset):
            switch try output.fill(from: input) {
            case .more: break
            case .finished: try padding(after: run, input, &output)
            case .truncated: throw error(TarFault("the archive ends inside its content"), path, offset)
            }
            return true
        case .trailer: return try trailer(input, &output)
        }
    }

    // MARK: Headers

    private mutating func header(_ input: SplitterInput, _ output: inout LayerWriter) throws -> Bool {
        let offset = input.offset
        let block = try input.peek(TarBlock.byteCount)
        guard !block.isEmpty else { return false }
        if TarBlock.isZero(block) {
            state = .trailer
            return true
        }
        if offset == 0, let what = ForeignFormat.explain(block),
            !(block.count == TarBlock.byteCount && TarHeader.hasValidChecksum(block))
        {
            throw CacheError(.invalidInput, "this is no tar: \(what)")
        }
        var path: [UInt8]?
        do {
            guard block.count == TarBlock.byteCount else { throw TarFault("the archive ends inside a header") }
            let header = try TarHeader(block)
            path = headers.path ?? header.path
            if TarExtendedHeaders.isExtendedHeader(header.type) {
                let (type, size) = (header.type, try header.size())
                try headers.spend(block.count)
                output.block(block, .extendedHeader)
                input.skip(block.count)
                try headers.read(type, size, input, &output)
            } else {
                try entry(header, block, offset, input, &output)
            }
        } catch let fault as TarFault {
            throw error(fault, path ?? headers.path, offset)
        }
        return true
    }

    /// Takes the header of an entry and, of what comes after it, all that is not content.
    private mutating func entry(
        _ header: TarHeader, _ block: UnsafeRawBufferPointer, _ offset: UInt64, _ input: SplitterInput,
        _ output: inout LayerWriter
    ) throws {
        var entry = try headers.entry(header)
        var stored = try headers.storedSize(header)
        let type = header.type
        var sparse = headers.sparse
        var isContinued = false
        if type == UInt8(ascii: "S") {
            let map = try header.sparseMap()
            sparse = TarPaxRecords.Sparse(size: try header.sparseSize(), segments: map.segments)
            isContinued = map.continues
        }
        output.block(block, .header)
        input.skip(block.count)

        while isContinued {
            let more = try TarHeader.sparseContinuation(headers.metadataBlock(input, &output))
            sparse?.segments += more.segments
            isContinued = more.continues
        }
        switch entry?.kind {
        case .file:
            if var sparse {
                if sparse.isMapInData {
                    let map = try TarSparseMap.readText(&headers, stored: stored, input, &output)
                    sparse.segments = map.segments
                    stored -= map.bytes
                }
                guard let size = sparse.size else { throw TarFault("a sparse file without a size") }
                let map = try TarSparseMap(size: size, segments: sparse.segments, stored: stored)
                entry?.size = map.size
                entry?.segments = map.segments
            } else {
                entry?.size = stored
            }
        case .hardLink:
            if try !hasContent(stored, input) { stored = 0 }
            entry?.size = stored
        case .directory where type == UInt8(ascii: "D"), nil: break
        case .directory, .symbolicLink, .characterDevice, .blockDevice, .fifo:
            if try !hasContent(stored, input) { stored = 0 }
        }

        let path = entry?.path ?? []
        if stored > 0 {
            let run = output.place(stored, path: path)
            if entry?.kind == .file || entry?.kind == .hardLink { entry?.content = run }
            state = .content(run, path: path, offset: offset)
        }
        if let entry {
            guard output.entryCount < limits.entries else {
                throw CacheError(
                    .limitExceeded, "the archive has more than \(limits.entries) entries, the limit of this push")
            }
            output.entry(entry)
        }
        headers.reset()
    }

    /// Whether a link, directory or device with a size is followed by content. For most writers such a size says nothing, and most readers
    /// ignore it; some write content nevertheless, and then what follows is no header.
    private func hasContent(_ size: UInt64, _ input: SplitterInput) throws -> Bool {
        guard size > 0 else { return false }
        let next = try input.peek(TarBlock.byteCount)
        return next.count == TarBlock.byteCount && !TarBlock.isZero(next) && !TarHeader.hasValidChecksum(next)
    }

    // MARK: Between and after entries

    private mutating func padding(after run: DataRun, _ input: SplitterInput, _ output: inout LayerWriter) throws {
        let count = (TarBlock.byteCount - Int(run.length % UInt64(TarBlock.byteCount))) % TarBlock.byteCount
        let bytes = try input.peek(count)
        if bytes.count == count, TarBlock.isZero(bytes) {
            output.data(run, padding: count)
        } else {
            output.data(run, padding: 0)
            if !bytes.isEmpty { output.literal(bytes) }
        }
        input.skip(bytes.count)
        state = .header
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

    private func error(_ fault: TarFault, _ path: [UInt8]?, _ offset: UInt64) -> CacheError {
        guard let path, !path.isEmpty else { return CacheError(.invalidInput, "tar, at byte \(offset): \(fault.what)") }
        let name = String(decoding: path.prefix(256), as: UTF8.self)
        return CacheError(.invalidInput, "tar entry '\(name)' at byte \(offset): \(fault.what)")
    }
}
