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
        let (flight, isFirst) = flight(key)
        guard isFirst else {
            guard flight.landing.lock(whenValue: true, timeoutSeconds: Self.patience) else { return nil }
            flight.landing.unlock()
            return flight.value.withLockedValue { $0 }
        }
        let value = make()
        end(key, flight, value)
        return value
    }

    /// Takes it on to make something.
    /// - Returns: what must be called with what was made, soon and once; `nil` if another thread is making it already.
    func begin(_ key: Key) -> ((Value?) -> Void)? {
        let (flight, isFirst) = flight(key)
        return isFirst ? { self.end(key, flight, $0) } : nil
    }

    private func flight(_ key: Key) -> (Flight, isFirst: Bool) {
        flights.withLockedValue { flights in
            if let flight = flights[key] { return (flight, false) }
            let flight = Flight()
            flights[key] = flight
            return (flight, true)
        }
    }

    private func end(_ key: Key, _ flight: Flight, _ value: Value?) {
        flight.value.withLockedValue { $0 = value }
        _ = flights.withLockedValue { $0.removeValue(forKey: key) }
        flight.landing.lock()
        flight.landing.unlock(withValue: true)
    }
}
