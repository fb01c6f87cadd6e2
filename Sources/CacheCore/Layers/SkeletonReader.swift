internal import CacheBase
public import NIOCore

/// Turns the plaintext of a skeleton back into the tar: literal bytes, and runs of the data region between them.
///
/// Feed it with `append`, call `next` until it asks for more. It never waits, does no I/O, and holds at most what was
/// appended and not yet used plus 4 KiB. Its bytes may be hostile: anything malformed throws
/// ``CacheError/Code/corrupt``.
public struct SkeletonReader: Sendable {
    public enum Step: Sendable, Equatable {
        /// `literal` has grown to ``SkeletonReader/literalBytes`` or more: write it out and clear it before the next
        /// call.
        case literal
        /// Write out `literal` and clear it, then copy this run.
        case data(DataRun)
        /// The skeleton goes on: append more of it. If there is no more, it was cut off (see ``checkEnded()``).
        case needMore
        /// The tar is complete with what `literal` holds.
        case end
    }

    /// A call of `next` leaves at most this much and 512 bytes in a literal that was empty: 64 KiB.
    public static let literalBytes = 64 * 1024

    private var pending = ByteBuffer()
    private var deltas = TarBlockDelta()
    private var addresses = RunAddressCoder()
    private var literalsLeft: UInt64 = 0
    private var zerosLeft: UInt64 = 0
    private var produced: UInt64 = 0
    private var hasMagic = false
    private var hasEnded = false

    /// A reader for a skeleton that has at least one chunk; the one without any belongs to an empty tar.
    public init() {}

    /// Takes the next piece of the skeleton, of any size. Copies it.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        pending.discardReadBytes()
        pending.writeBytes(bytes)
    }

    /// Goes on to the next thing that the caller must do, appending bytes of the tar to `literal` on the way.
    public mutating func next(literal: inout ByteBuffer) throws -> Step {
        do {
            while true {
                emit(to: &literal)
                if zerosLeft > 0 || literal.readableBytes >= Self.literalBytes { return .literal }
                if literalsLeft > 0 { return .needMore }
                if hasEnded {
                    guard pending.readableBytes == 0 else { throw VarintCursor.Malformed("bytes after its end") }
                    return .end
                }
                if let step = try parse(&literal) { return step }
            }
        } catch let malformed as VarintCursor.Malformed {
            throw CacheError(
                .corrupt, "the skeleton of the layer is damaged: \(malformed.what) at byte \(produced) of the tar")
        }
    }

    /// Throws unless the end was reached: a skeleton that is cut off must not pass for a shorter tar.
    public func checkEnded() throws {
        guard hasEnded, pending.readableBytes == 0 else {
            throw CacheError(.corrupt, "the skeleton of the layer is cut off at byte \(produced) of the tar")
        }
    }

    /// Appends what is left of literal bytes and zeros, as far as there is room.
    private mutating func emit(to literal: inout ByteBuffer) {
        let room = Self.literalBytes - literal.readableBytes
        if zerosLeft > 0, room > 0 {
            let count = Int(min(UInt64(room), zerosLeft))
            literal.writeRepeatingByte(0, count: count)
            zerosLeft -= UInt64(count)
        } else if literalsLeft > 0, room > 0 {
            let count = Int(min(UInt64(min(room, pending.readableBytes)), literalsLeft))
            guard var bytes = pending.readSlice(length: count) else { return }
            literal.writeBuffer(&bytes)
            literalsLeft -= UInt64(count)
        }
    }

    /// Takes one operation; `nil` if the next one can follow at once.
    private mutating func parse(_ literal: inout ByteBuffer) throws -> Step? {
        let input = pending
        let (used, step): (Int?, Step?) = try input.withUnsafeReadableBytes { bytes in
            var cursor = VarintCursor(bytes)
            guard hasMagic else {
                guard let magic = cursor.take(SkeletonOperation.magic.count) else { return (nil, nil) }
                try checkMagic(magic)
                hasMagic = true
                return (cursor.position, nil)
            }
            var step: Step?
            let isComplete = try execute(&cursor, &literal, &step)
            return (isComplete ? cursor.position : nil, step)
        }
        guard let used else {
            guard pending.readableBytes < SkeletonOperation.mostBytes else {
                throw VarintCursor.Malformed("an operation that is too long")
            }
            return .needMore
        }
        pending.moveReaderIndex(forwardBy: used)
        return step
    }

    private func checkMagic(_ bytes: UnsafeRawBufferPointer) throws {
        guard !bytes.elementsEqual(SkeletonOperation.magic) else { return }
        guard bytes.dropLast().elementsEqual(SkeletonOperation.magic.dropLast()) else {
            throw VarintCursor.Malformed("it does not begin as a skeleton")
        }
        throw CacheError(
            .unsupported, "the layer's skeleton has version \(bytes[bytes.count - 1]), which this build does not know")
    }

    /// Carries out the operation at the cursor; `false` if bytes of it are missing, with nothing changed.
    private mutating func execute(
        _ cursor: inout VarintCursor, _ literal: inout ByteBuffer, _ step: inout Step?
    ) throws -> Bool {
        guard let tag = try cursor.unsigned() else { return false }
        let argument = tag >> 3
        switch SkeletonOperation(rawValue: tag & 7) {
        case .end:
            guard argument == produced else { throw VarintCursor.Malformed("an end that belongs at \(argument)") }
            hasEnded = true
        case .literal:
            try produce(argument)
            literalsLeft = argument
        case .zeros:
            try produce(argument)
            zerosLeft = argument
        case .block:
            guard argument >> 3 <= UInt64(SkeletonOperation.mostBytes - VarintCursor.mostBytes),
                let kind = TarBlockClass(rawValue: UInt8(argument & 3))
            else { throw VarintCursor.Malformed("a block of no known form") }
            guard let edits = cursor.take(Int(argument >> 3)) else { return false }
            try produce(UInt64(TarBlock.byteCount))
            try deltas.decode(edits, kind, computesChecksum: argument & 4 != 0) { literal.writeBytes($0) }
        case .data:
            let length = argument >> 2
            guard let run = try addresses.read(length: length, explicit: argument & 1 != 0, from: &cursor) else {
                return false
            }
            let padding = argument & 2 != 0 ? (512 - length % 512) % 512 : 0
            try produce(length + padding)
            zerosLeft = padding
            step = .data(run)
        case nil:
            throw VarintCursor.Malformed("an unknown operation")
        }
        return true
    }

    private mutating func produce(_ count: UInt64) throws {
        guard count > 0, count < RegionAddress.end, produced < RegionAddress.end else {
            throw VarintCursor.Malformed("an impossible length")
        }
        produced += count
    }
}
