internal import NIOConcurrencyHelpers

/// Reads of L1 that run on threads of their readers: few at once, and none beside one that takes long, so that a disk
/// that hangs keeps few of these threads.
final class VisitsUnderWay: Sendable {
    /// When each began; `nil` for a place that is free.
    private let places: NIOLockedValueBox<[Duration?]>
    /// A read that takes longer may be one that hangs.
    static let patience = Duration.milliseconds(100)

    /// - Parameter places: how many there may be at once: fewer than the threads that answer the kernel (8), so that
    ///   some are left whatever the disk does.
    init(places: Int = 6) {
        self.places = NIOLockedValueBox(Array(repeating: nil, count: max(places, 1)))
    }

    /// The place of a read that begins now; `nil` if it may not.
    func enter(now: Duration) -> Int? {
        places.withLockedValue { places in
            var free: Int?
            for (index, began) in places.enumerated() {
                guard let began else {
                    free = index
                    continue
                }
                if now - began > Self.patience { return nil }
            }
            if let free { places[free] = now }
            return free
        }
    }

    func leave(_ place: Int) {
        places.withLockedValue { $0[place] = nil }
    }
}
