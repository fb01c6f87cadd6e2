import CacheCore
import Foundation

/// A 4-of-5 erasure code: four equal pieces of a body and their parity, each an object with a name of its own. Any four
/// give the body back.
struct StripedBody: Sendable {
    static let dataPieces = 4
    static let pieces = dataPieces + 1

    let names: [String]
    let bodies: [Data]

    init(_ body: Data) {
        let length = body.count / Self.dataPieces
        var bodies = (0..<Self.dataPieces).map { Data(body[$0 * length..<($0 + 1) * length]) }
        var parity = Data(count: length)
        parity.withUnsafeMutableBytes { parity in
            for piece in bodies { piece.withUnsafeBytes { Self.xor(parity, $0) } }
        }
        bodies.append(parity)
        self.bodies = bodies
        names = bodies.map { piece in piece.withUnsafeBytes { ChunkID(ofSealed: $0) }.hex }
    }

    /// Adds words to words; both are of one length, a multiple of 8.
    private static func xor(_ sum: UnsafeMutableRawBufferPointer, _ piece: UnsafeRawBufferPointer) {
        let words = piece.bindMemory(to: UInt64.self)
        let sums = sum.bindMemory(to: UInt64.self)
        for index in sums.indices { sums[index] ^= words[index] }
    }

    /// Puts a body together.
    /// - Parameters:
    ///   - pieces: by their numbers; one may be missing.
    ///   - output: of the length of the body.
    static func join(_ pieces: [UnsafeRawBufferPointer?], into output: UnsafeMutableRawBufferPointer) {
        let length = output.count / dataPieces
        func place(_ number: Int) -> UnsafeMutableRawBufferPointer {
            UnsafeMutableRawBufferPointer(rebasing: output[number * length..<(number + 1) * length])
        }
        var lost: Int?
        for number in 0..<dataPieces {
            if let piece = pieces[number] { place(number).copyMemory(from: piece) } else { lost = number }
        }
        guard let lost, let parity = pieces[dataPieces] else { return }
        place(lost).copyMemory(from: parity)
        for number in 0..<dataPieces where number != lost {
            if let piece = pieces[number] { xor(place(lost), piece) }
        }
    }
}
