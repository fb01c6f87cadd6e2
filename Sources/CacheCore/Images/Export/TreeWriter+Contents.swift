internal import CacheBase
internal import CacheFiles
package import CacheLayers
internal import NIOConcurrencyHelpers

// Files that have bytes, chunk by chunk.
extension TreeWriter {
    /// Writes all that files have in a chunk; holes and blocks of zeros become holes.
    ///
    /// Each of the plan's chunks must be written once, in any order. Blocks in the filesystem; copies nothing.
    /// - Parameter bytes: the chunk's plaintext.
    /// - Returns: how many bytes of files that was.
    /// - Throws: `.corrupt` for a chunk that is shorter than its files.
    @discardableResult
    package func write(_ chunk: ContentPlan.Chunk, _ bytes: UnsafeRawBufferPointer) throws -> Int {
        try checkCancelled()
        return try withDirectories { directories in
            var total = 0
            for place in chunk.files {
                let piece = plan.piece(place, of: chunk, in: tree)
                guard let node = tree.firstNode(of: piece.inode) else { continue }
                guard piece.chunk.upperBound <= bytes.count else {
                    throw CacheError(
                        .corrupt, "'\(tree.shownPath(of: node))' has bytes beyond the end of their chunk")
                }
                let content = UnsafeRawBufferPointer(rebasing: bytes[piece.chunk])
                let inode = tree[inode: piece.inode]
                if piece.isWhole {
                    let file = try create(node, inode, in: directories.parent(of: node))
                    let end = try write(content, from: 0, of: inode, node, to: file.descriptor)
                    try finish(file, node, inode, writtenTo: end)
                } else {
                    try write(content, of: piece, node, inode, in: directories)
                }
                total += content.count
            }
            return total
        }
    }

    /// Writes what a chunk holds of a file that lies in several.
    private func write(
        _ content: UnsafeRawBufferPointer, of piece: ContentPlan.Piece, _ node: Int, _ inode: ImageTree.Inode,
        in directories: ConfinedDirectories
    ) throws {
        let file = try partial.withLockedValue { files in
            if let known = files[piece.inode] { return known }
            let made = PartialFile(
                try create(node, inode, in: directories.parent(of: node)), chunks: ContentPlan.chunkCount(of: inode))
            files[piece.inode] = made
            return made
        }
        let end = try file.writing.withLock {
            try write(content, from: piece.stored, of: inode, node, to: file.new.descriptor)
        }
        guard let total = file.finishChunk(writtenTo: end) else { return }
        partial.withLockedValue { $0[piece.inode] = nil }
        try finish(file.new, node, inode, writtenTo: total)
    }

    // MARK: One file

    /// Makes an empty file, with its final mode if the umask allows that and no attribute is to be set, which a
    /// read-only file would refuse.
    func create(_ node: Int, _ inode: ImageTree.Inode, in parent: OpenFile) throws -> NewInode {
        let isPlain = inode.mode & ~UInt16(rights.mode) == 0 && !inode.hasAttributes
        let mode = isPlain ? UInt32(inode.mode) : 0o600
        let descriptor = try tree.withName(of: node) { name in
            try reporting("make \(tree.shownPath(of: node))") { () throws(Errno) in
                try parent.descriptor.open(name, .newFile, mode: mode)
            }
        }
        return NewInode(descriptor: descriptor, mode: isPlain ? mode : nil)
    }

    /// Gives a file its size and all else, once its bytes are written.
    func finish(_ file: borrowing NewInode, _ node: Int, _ inode: ImageTree.Inode, writtenTo end: UInt64) throws {
        if end < inode.size {
            let descriptor = file.descriptor
            try reporting("write \(tree.shownPath(of: node))") { () throws(Errno) in
                try descriptor.truncate(to: Int(inode.size))
            }
        }
        try describe(file.descriptor, node, inode, mode: file.mode)
    }

    /// Writes stored bytes of a file to where they belong in it.
    /// - Returns: where in the file the last byte that is not part of a hole ends; 0 if all are.
    private func write(
        _ bytes: UnsafeRawBufferPointer, from stored: UInt64, of inode: ImageTree.Inode, _ node: Int,
        to file: Descriptor
    ) throws -> UInt64 {
        var end: UInt64 = 0
        try tree.forEachStretch(of: inode, in: stored..<stored + UInt64(bytes.count)) { from, offset, count in
            let start = Int(from - stored)
            let stretch = UnsafeRawBufferPointer(rebasing: bytes[start..<start + Int(count)])
            try Self.forEachNonZero(of: stretch, at: Int(offset)) { part in
                try reporting("write \(tree.shownPath(of: node))") { () throws(Errno) in
                    try file.writeAll(
                        UnsafeRawBufferPointer(rebasing: stretch[part]), at: Int(offset) + part.lowerBound)
                }
                end = offset + UInt64(part.upperBound)
            }
        }
        return end
    }

    private static let block = 4096

    /// The parts of `bytes`, which belong at `offset` of a file, that are no blocks of zeros: what was sparse before it
    /// became a tar is again.
    private static func forEachNonZero(
        of bytes: UnsafeRawBufferPointer, at offset: Int, _ body: (Range<Int>) throws -> Void
    ) rethrows {
        var (start, position) = (0, 0)
        while position < bytes.count {
            let end = min(bytes.count, position + block - (offset + position) % block)
            if UnsafeRawBufferPointer(rebasing: bytes[position..<end]).isAllZero {
                if start < position { try body(start..<position) }
                start = end
            }
            position = end
        }
        if start < position { try body(start..<position) }
    }
}

/// A file that has just been made, open for writing until this value goes.
///
/// It owns its descriptor itself, unlike everything else: an ``OpenFile`` for each would be an object for each file of
/// an image.
struct NewInode: ~Copyable, Sendable {
    let descriptor: Descriptor
    /// The mode that it has, if that is what it is to have.
    let mode: UInt32?
    deinit { descriptor.close() }
}

/// A file that lies in more than one chunk: open from its first chunk to its last, in whatever order these come.
final class PartialFile: Sendable {
    let new: NewInode
    /// Writers of one file spin on its lock in the kernel; those that wait for this one sleep.
    let writing = NIOLock()
    private let state: NIOLockedValueBox<(chunksLeft: Int, end: UInt64)>

    init(_ new: consuming NewInode, chunks: Int) {
        self.new = new
        state = NIOLockedValueBox((chunks, 0))
    }

    /// Counts a chunk. Returns where the file ends, as far as it was written, when it was the last one.
    func finishChunk(writtenTo end: UInt64) -> UInt64? {
        state.withLockedValue { state in
            state.chunksLeft -= 1
            state.end = max(state.end, end)
            return state.chunksLeft == 0 ? state.end : nil
        }
    }
}
