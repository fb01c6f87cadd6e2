import Testing

@testable import CacheAgent

@Suite struct RestartPaceTests {
    @Test("one that got to serve is followed within a quarter of a second, however often it dies")
    func dyingYoung() {
        var pace = RestartPace()
        let pauses = (0..<100).map { _ in pace.next(served: .milliseconds(1), hasEverServed: true) }
        #expect(pauses.prefix(3).allSatisfy { $0 == .zero })
        #expect(pauses[3] == .milliseconds(10))
        #expect(pauses.last == .milliseconds(250))
        #expect(pace.next(served: .seconds(1), hasEverServed: true) == .zero)
    }

    @Test("one that cannot start is tried ever less often, and is not given up once the worker has served")
    func cannotStart() {
        var pace = RestartPace()
        let pauses = (0..<100).map { _ in pace.next(served: nil, hasEverServed: true) }
        #expect(pauses.prefix(3).allSatisfy { $0 == .zero })
        #expect(pauses[3] == .milliseconds(100))
        #expect(pauses.last == .seconds(5))
        // The next one serves: what was before does not count.
        #expect(pace.next(served: .zero, hasEverServed: true) == .zero)
        #expect(pace.next(served: nil, hasEverServed: true) == .zero)
    }

    @Test("a worker that has never served is given up")
    func givingUp() {
        var pace = RestartPace()
        let pauses = (0..<5).map { _ in pace.next(served: nil, hasEverServed: false) }
        #expect(pauses == [.zero, .zero, .zero, .milliseconds(100), nil])
    }
}
