internal import CacheBase

/// An entry of a tar, and how much of the archive its content takes.
struct TarEntry {
    /// The path as the archive has it, also of what is no entry.
    let path: [UInt8]
    /// `nil` for what is no file of any kind, such as a volume label. The content's place in the data region is not
    /// known here.
    var entry: LayerEntry?
    /// Bytes of content that follow, without what fills their last block.
    let stored: UInt64
}

/// The parser of tars, block by block, without I/O. It is the only one: all code that reads a tar uses it.
///
/// Hand it each block of 512 bytes but those of contents: after a ``Step/entry(_:_:)``, pass over the content and what
/// fills its last block. It takes what Go's `archive/tar` takes, and so the container runtimes, and means the same by
/// it, with these differences: kinds that only GNU tar knows are entries, too; an archive that ends within a block has
/// been cut, also in what fills the last block of a content, where Go says nothing and GNU tar does; numbers of owners
/// and devices must be such.
struct TarReader {
    enum Step {
        /// The block is a part of the description of the entry to come.
        case described(TarBlockClass)
        /// The block completes the description of an entry.
        case entry(TarEntry, TarBlockClass)
        /// The block is zero: the archive ends here. See ``checkEnd(_:at:)``.
        case zeros
    }

    private enum State {
        case header
        /// In what an extended header of `type` holds.
        case payload(type: UInt8, size: Int, [UInt8])
        /// In GNU's blocks that continue the map of a sparse file.
        case sparseBlocks(Pending, [LayerEntry.Segment])
        /// In the map before the data of a sparse file, format 1.0.
        case sparseText(Pending, TarSparseText, rest: UInt64)
    }

    /// A sparse file that lacks its map.
    private struct Pending {
        let entry: LayerEntry
        let size: UInt64
        let stored: UInt64
        let offset: UInt64
    }

    private var state = State.header
    private var headers: TarExtendedHeaders
    /// The last entry, and whether it had a size that means nothing: content there is a likely reason why no header
    /// follows.
    private var last: (path: [UInt8], ignoresSize: Bool)?

    init(limits: LayerLimits) { headers = TarExtendedHeaders(limits: limits) }

    /// - Parameters:
    ///   - block: 512 bytes.
    ///   - offset: where they are in the archive.
    /// - Throws: ``CacheError``, naming the entry and its place.
    mutating func take(_ block: UnsafeRawBufferPointer, at offset: UInt64) throws -> Step {
        var path = headers.path
        do {
            switch state {
            case .header:
                if TarBlock.isZero(block) { return .zeros }
                return try header(block, at: offset, &path)
            case .payload(let type, let size, var payload):
                // The only copy of it: appending must not make another one.
                state = .header
                try headers.spend(block.count)
                payload.append(contentsOf: block.prefix(size - payload.count))
                if payload.count == size {
                    try payload.withUnsafeBytes { try headers.apply($0, type) }
                } else {
                    state = .payload(type: type, size: size, payload)
                }
                return .described(.metadata)
            case .sparseBlocks(let pending, var segments):
                path = pending.entry.path
                state = .header
                try headers.spend(block.count)
                let more = try TarHeader.sparseContinuation(block)
                segments += more.segments
                if more.continues {
                    state = .sparseBlocks(pending, segments)
                    return .described(.metadata)
                }
                return .entry(try finish(pending, segments, stored: pending.stored), .metadata)
            case .sparseText(let pending, var text, let rest):
                path = pending.entry.path
                state = .header
                guard rest >= UInt64(block.count) else { throw TarFault("a sparse map longer than its content") }
                try headers.spend(block.count)
                if let segments = try text.take(block) {
                    return .entry(try finish(pending, segments, stored: rest - UInt64(block.count)), .metadata)
                }
                state = .sparseText(pending, text, rest: rest - UInt64(block.count))
                return .described(.metadata)
            }
        } catch let fault as TarFault {
            throw error(fault, path, at: offset)
        }
    }

    // MARK: Headers

    private mutating func header(
        _ block: UnsafeRawBufferPointer, at offset: UInt64, _ path: inout [UInt8]?
    ) throws -> Step {
        let header: TarHeader
        do { header = try TarHeader(block) } catch { throw noHeader(block, error, at: offset) }
        let entryPath = path ?? header.path
        path = entryPath
        let numbers = try header.numbers()
        guard TarExtendedHeaders.isExtendedHeader(header.type) else {
            return try entry(header, numbers, entryPath, at: offset)
        }
        try headers.spend(block.count)
        let size = Int(clamping: try TarNumber.size(numbers.size))
        if size > 0 {
            state = .payload(type: header.type, size: size, [])
        } else {
            try headers.apply(UnsafeRawBufferPointer(start: nil, count: 0), header.type)
        }
        return .described(.extendedHeader)
    }

    private mutating func entry(
        _ header: TarHeader, _ numbers: TarHeader.Numbers, _ path: [UInt8], at offset: UInt64
    ) throws -> Step {
        var entry = try headers.entry(header, numbers, path)
        let stored = try headers.storedSize(header, numbers, entry?.kind)
        last = (path, ignoresSize: stored == 0 && numbers.size != 0)
        if let file = entry, file.kind == .file {
            if header.type == UInt8(ascii: "S") {
                let pending = Pending(entry: file, size: try header.sparseSize(), stored: stored, offset: offset)
                let map = try header.sparseMap()
                if map.continues {
                    state = .sparseBlocks(pending, map.segments)
                    return .described(.header)
                }
                return .entry(try finish(pending, map.segments, stored: stored), .header)
            }
            if let sparse = headers.sparse {
                let pending = Pending(
                    entry: file, size: try sparse.size() ?? stored, stored: stored, offset: offset)
                if sparse.format == .mapInData {
                    state = .sparseText(pending, TarSparseText(), rest: stored)
                    return .described(.header)
                }
                return .entry(try finish(pending, sparse.segments(), stored: stored), .header)
            }
            entry?.size = stored
        } else if headers.sparse != nil {
            throw TarFault("a sparse map for what is no file")
        }
        headers.reset()
        return .entry(TarEntry(path: path, entry: entry, stored: stored), .header)
    }

    private mutating func finish(
        _ pending: Pending, _ segments: [LayerEntry.Segment], stored: UInt64
    ) throws -> TarEntry {
        let map = try TarSparseMap(size: pending.size, segments: segments, stored: stored)
        var entry = pending.entry
        entry.size = map.size
        entry.segments = map.segments
        headers.reset()
        return TarEntry(path: entry.path, entry: entry, stored: stored)
    }

    // MARK: Ends

    /// Checks an end that is marked by zeros: nothing, or another block of them, must follow on the first one. What
    /// comes after is no part of the archive, whatever it is. One block of zeros between entries is where others stop,
    /// in silence, or give up.
    /// - Parameters:
    ///   - following: up to 512 bytes that follow on the first block of zeros.
    ///   - offset: where that is.
    func checkEnd(_ following: UnsafeRawBufferPointer, at offset: UInt64) throws {
        if following.isEmpty { return }
        guard following.count == TarBlock.byteCount else {
            throw error(TarFault("the archive ends inside its end mark"), nil, at: offset)
        }
        guard TarBlock.isZero(following) else {
            throw error(TarFault("a block of zeros, which is half an end mark, between the entries"), nil, at: offset)
        }
    }

    /// Checks an end without a mark, which is where an entry could begin and nowhere else. (One that follows on an
    /// extended header is taken, as it is by GNU tar and Go.)
    /// - Parameter rest: the bytes that are left, fewer than 512.
    func checkEnd(unmarked rest: UnsafeRawBufferPointer, at offset: UInt64) throws {
        switch state {
        case .header:
            if rest.isEmpty { return }
            if offset == 0, let what = ForeignFormat.explain(rest) { throw Self.foreign(what) }
            throw error(TarFault("the archive ends inside a header"), headers.path, at: offset)
        case .payload: throw error(TarFault("the archive ends inside an extended header"), headers.path, at: offset)
        case .sparseBlocks(let pending, _), .sparseText(let pending, _, _):
            throw error(TarFault("the archive ends inside its sparse map"), pending.entry.path, at: pending.offset)
        }
    }

    // MARK: Errors

    /// What is wrong with the content of `entry`, or with what follows on it.
    /// - Parameter offset: of the entry.
    func error(_ fault: TarFault, _ path: [UInt8]?, at offset: UInt64) -> CacheError {
        guard let path, !path.isEmpty else { return CacheError(fault.code, "tar, at byte \(offset): \(fault.what)") }
        let name = String(decoding: path.prefix(256), as: UTF8.self)
        return CacheError(fault.code, "tar entry '\(name)' at byte \(offset): \(fault.what)")
    }

    private func noHeader(_ block: UnsafeRawBufferPointer, _ fault: any Error, at offset: UInt64) -> any Error {
        guard let fault = fault as? TarFault else { return fault }
        if offset == 0, let what = ForeignFormat.explain(block) { return Self.foreign(what) }
        guard let last else { return error(fault, nil, at: offset) }
        let name = String(decoding: last.path.prefix(256), as: UTF8.self)
        let reason = last.ignoresSize ? ", which is of a kind that has no content whatever its size says" : ""
        return error(TarFault("\(fault.what), after the entry '\(name)'\(reason)"), nil, at: offset)
    }

    private static func foreign(_ what: String) -> CacheError {
        CacheError(.invalidInput, "this is no tar: \(what)")
    }
}
