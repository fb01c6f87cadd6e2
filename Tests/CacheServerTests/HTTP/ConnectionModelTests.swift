import Testing

@testable import CacheServer

/// Random clients against the state machines of their connections: what must hold in whatever order things happen.
struct ConnectionModelTests {
    @Test func budgetAndAnswersAreExact() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var simulation = ConnectionSimulation(seed: seed)
        for step in 0..<12_000 {
            simulation.step()
            let held = simulation.connections.compactMap { $0.machine.request?.reservation }
            let budget = simulation.queue.budget
            #expect(budget.bytes == held.reduce(0) { $0 + $1.bytes }, "seed \(seed), step \(step)")
            #expect(budget.bytes <= budget.maximumBytes, "seed \(seed), step \(step)")
            #expect(budget.requests == held.count, "seed \(seed), step \(step)")
            guard simulation.violations.isEmpty else { break }
        }
        #expect(
            simulation.responses > 500 && simulation.grants > 50 && simulation.fills > 20,
            "the clients ask for too little: seed \(seed)")
        simulation.settle()
        #expect(simulation.violations.isEmpty, "seed \(seed)")
        // All is answered or gone, and all of the budget is back.
        #expect(simulation.connections.allSatisfy { !$0.isOpen }, "seed \(seed)")
        let budget = simulation.queue.budget
        #expect(budget.bytes == 0 && budget.requests == 0 && !simulation.queue.hasWaiters, "seed \(seed)")
    }
}
