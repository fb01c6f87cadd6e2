internal import CacheCrypto

/// What its holder shows for a lease: 128 random bits, so that nobody guesses one; 32 hexadecimal digits as text.
struct LeaseToken: Hashable, Sendable {
    private let high: UInt64
    private let low: UInt64

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    static func random() -> LeaseToken {
        var bits: (UInt64, UInt64) = (0, 0)
        withUnsafeMutableBytes(of: &bits) { SecureRandom.fill($0) }
        return LeaseToken(high: bits.0, low: bits.1)
    }

    /// `nil` for what is no token.
    init?(_ text: String) {
        // Signs would pass for digits.
        guard text.utf8.count == 32, text.allSatisfy(\.isHexDigit),
            let high = UInt64(text.prefix(16), radix: 16), let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }

    var text: String {
        [high, low].map { half in
            let digits = String(half, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
