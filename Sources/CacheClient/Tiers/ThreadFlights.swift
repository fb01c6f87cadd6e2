internal import NIOConcurrencyHelpers

/// ``SingleFlight`` for threads: one of those that want the same thing at the same time makes it, and the others wait
/// for that, which must be a matter of a millisecond.
final class ThreadFlights<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private final class Flight: Sendable {
        /// True once the value is there.
        let landing = ConditionLock(value: false)
        let value = NIOLockedValueBox<Value?>(nil)
    }

    private let flights = NIOLockedValueBox<[Key: Flight]>([:])
    private static var patience: Double { 0.1 }

    /// What `make` returns, here or on the thread that is making it already. Blocks.
    /// - Returns: `nil` if `make` does, or if the other thread takes longer than 100 ms.
    func join(_ key: Key, _ make: () -> Value?) -> Value? {
        let (flight, isFirst) = flights.withLockedValue { flights in
            if let flight = flights[key] { return (flight, false) }
            let flight = Flight()
            flights[key] = flight
            return (flight, true)
        }
        guard isFirst else {
            guard flight.landing.lock(whenValue: true, timeoutSeconds: Self.patience) else { return nil }
            flight.landing.unlock()
            return flight.value.withLockedValue { $0 }
        }
        let value = make()
        flight.value.withLockedValue { $0 = value }
        _ = flights.withLockedValue { $0.removeValue(forKey: key) }
        flight.landing.lock()
        flight.landing.unlock(withValue: true)
        return value
    }
}
