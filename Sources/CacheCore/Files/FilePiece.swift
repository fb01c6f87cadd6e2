/// A piece of a sparse file that is stored somewhere.
package struct FilePiece: Sendable {
    enum Found {
        /// So many bytes from here on are stored, at this place.
        case data(place: Int, count: Int)
        /// Zeros, up to the next piece if there is one.
        case hole(end: Int?)
    }

    /// In the file.
    let start: Int
    let length: Int
    /// Where it is stored, counted from the first piece.
    let place: Int

    /// Pieces in ascending order that are stored one after the other.
    package static func consecutive(_ parts: some Sequence<(start: Int, length: Int)>) -> [FilePiece] {
        var place = 0
        return parts.map { part in
            defer { place += part.length }
            return FilePiece(start: part.start, length: part.length, place: place)
        }
    }

    /// What is at `position`. The pieces are in ascending order and do not overlap.
    static func find(_ position: Int, in pieces: [FilePiece]) -> Found {
        // The first piece that begins behind it.
        var (low, high) = (0, pieces.count)
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle].start <= position { low = middle + 1 } else { high = middle }
        }
        if low > 0, case let piece = pieces[low - 1], position < piece.start + piece.length {
            let skipped = position - piece.start
            return .data(place: piece.place + skipped, count: piece.length - skipped)
        }
        return .hole(end: low < pieces.count ? pieces[low].start : nil)
    }
}
