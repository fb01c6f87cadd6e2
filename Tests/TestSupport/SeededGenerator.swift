package import NIOCore

/// SplitMix64 (Steele et al., OOPSLA 2014): a random number generator whose numbers depend on its seed alone.
///
/// A test that makes one without a seed gets a new seed each time and names ``seed`` in its expectations, so that a
/// failure can be repeated.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    package let seed: UInt64
    private var state: UInt64

    package init(seed: UInt64 = .random(in: 0 ... .max)) {
        self.seed = seed
        state = seed
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    /// `count` bytes that no compressor shortens.
    package mutating func bytes(_ count: Int) -> [UInt8] {
        words(for: count).withUnsafeBytes { Array($0.prefix(count)) }
    }

    /// The same bytes as ``bytes(_:)``, in a buffer.
    package mutating func buffer(_ count: Int) -> ByteBuffer {
        words(for: count).withUnsafeBytes { ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: $0.prefix(count))) }
    }

    /// Enough numbers for `count` bytes. Written by a pointer: appending costs a debug build a microsecond for each
    /// number.
    private mutating func words(for count: Int) -> [UInt64] {
        [UInt64](unsafeUninitializedCapacity: (count + 7) / 8) { words, filled in
            filled = (count + 7) / 8
            var index = 0
            while index < filled {
                words[index] = next()
                index += 1
            }
        }
    }
}
