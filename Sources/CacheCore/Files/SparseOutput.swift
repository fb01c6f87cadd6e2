internal import CacheBase

/// A new file that is written from front to back, with holes where its bytes are zeros: what was sparse before it
/// became a tar is again.
package final class SparseOutput {
    private static let block = 4096
    private let file: OpenFile
    /// Where the file ends, as far as it was written; what comes behind is a hole still.
    package private(set) var end = 0

    package init(_ file: OpenFile) { self.file = file }

    /// Writes `bytes` at `offset`, which is never before what was written already.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
        var position = 0
        while position < bytes.count {
            var (next, isZero) = block(of: bytes, position, offset)
            // Blocks of one kind go, or stay, together.
            while next < bytes.count {
                let (end, isAlsoZero) = block(of: bytes, next, offset)
                guard isAlsoZero == isZero else { break }
                next = end
            }
            if !isZero {
                if offset + position != end {
                    try reporting("seek in \(file.name)") { () throws(Errno) in
                        try file.descriptor.seek(to: offset + position)
                    }
                }
                try file.write(UnsafeRawBufferPointer(rebasing: bytes[position..<next]))
                end = offset + next
            }
            position = next
        }
    }

    /// The part of `bytes` from `position` on that lies in one block of the file: where it ends, and whether it is all
    /// zeros. `bytes` need not begin or end where a block does.
    private func block(of bytes: UnsafeRawBufferPointer, _ position: Int, _ offset: Int) -> (end: Int, isZero: Bool) {
        let end = min(bytes.count, position + Self.block - (offset + position) % Self.block)
        return (end, UnsafeRawBufferPointer(rebasing: bytes[position..<end]).isAllZero)
    }
}
