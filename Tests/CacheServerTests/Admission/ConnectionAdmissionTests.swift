import NIOCore
import TestSupport
import Testing

@testable import CacheServer

/// Who has a connection when not all clients can, without a socket.
struct ConnectionAdmissionTests {
    private let start = NIODeadline.uptimeNanoseconds(1 << 40)

    /// Connections up to a limit of four, each in the class that is named.
    private func full(_ classes: [EvictionOrder.Class?]) -> (ConnectionAdmission, [ConnectionID]) {
        var admission = ConnectionAdmission(limit: 4, probeLimit: 2)
        let ids = classes.map { members in
            let id = admission.add()
            if let members { admission.makeEvictable(id, as: members, at: start) }
            return id
        }
        return (admission, ids)
    }

    private func decide(
        _ admission: inout ConnectionAdmission, open: Int = 5, after seconds: Int64 = 0, elsewhere: Int? = nil
    ) -> ConnectionAdmission.Decision {
        admission.decide(open: open, at: start + .seconds(seconds), elsewhere: { elsewhere })
    }

    @Test func connectionsUpToTheLimitAreServed() {
        var (admission, _) = full([.idle, .idle, .idle])
        #expect(decide(&admission, open: 4) == .serve)
        #expect(!admission.isCrowded)
    }

    @Test func longestIdleGivesWayFirst() {
        var (admission, ids) = full([.idle, .idle, nil, .lingering])
        admission.protect(ids[0])
        admission.makeEvictable(ids[0], as: .idle, at: start)
        #expect(decide(&admission, after: 1) == .replace(ids[1]))
        admission.remove(ids[1])
        #expect(decide(&admission, after: 1) == .replace(ids[0]))
        admission.protect(ids[0])
        #expect(decide(&admission) == .replace(ids[3]))
    }

    @Test func whoWasServedAMomentAgoStays() {
        var (admission, _) = full([.idle, .idle, nil, nil])
        #expect(decide(&admission) == .probeOnly)
        #expect(admission.isCrowded)
    }

    @Test func slowClientsGiveWayBeforeIdleOnes() {
        var (admission, ids) = full([.idle, nil, nil, nil])
        admission.note(ids[2], isSlow: true, at: start)
        admission.note(ids[0], isSlow: true, at: start)
        #expect(admission.order.membership(of: ids[0]) == .idle)
        #expect(decide(&admission, after: 1) == .replace(ids[2]))
        admission.note(ids[2], isSlow: false, at: start)
        #expect(decide(&admission, after: 1) == .replace(ids[0]))
    }

    @Test func slowHeadsGiveWayBeforeIdleConnections() {
        var (admission, ids) = full([.idle, .unproven, nil, nil])
        #expect(decide(&admission, after: 1) == .replace(ids[1]))
        // A head that comes in part is one, too, from when it began.
        admission.protect(ids[1])
        admission.noteIncompleteHead(ids[0], at: start + .seconds(1))
        #expect(admission.order.membership(of: ids[0]) == .unproven)
        admission.noteIncompleteHead(ids[1], at: start)
        #expect(admission.order.membership(of: ids[1]) == nil)
    }

    @Test func floodGivesWayBeforeIdleConnections() {
        var (admission, ids) = full([.idle, .unproven, .unproven, .unproven])
        #expect(decide(&admission) == .replace(ids[1]))
    }

    @Test func otherEventLoopsAreAskedLastAndOnlyForALittle() {
        var (admission, _) = full([nil, nil, nil, nil])
        #expect(decide(&admission, open: 6, elsewhere: 3) == .replaceElsewhere(3))
        #expect(!admission.isCrowded)
        #expect(decide(&admission, open: 7, elsewhere: 3) == .probeOnly)
        #expect(admission.isCrowded)
    }

    @Test func probesNeverGiveWayToOthers() {
        var (admission, ids) = full([nil, nil, nil, nil, .probeOnly])
        #expect(decide(&admission) == .probeOnly)
        #expect(admission.evictable == 0)
        #expect(admission.order.first(of: .probeOnly) == ids[4])
    }

    /// Random moves against a model of plain arrays.
    @Test func orderAgreesWithItsModel() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        var order = EvictionOrder()
        var model: [EvictionOrder.Class: [ConnectionID]] = [:]
        var all: [ConnectionID] = []
        for _ in 0..<4_000 {
            let one = all.randomElement(using: &random)
            switch (Int.random(in: 0..<10, using: &random), one) {
            case (0..<2, _), (_, nil):
                let id = order.add()
                #expect(!all.contains(id), "one id twice: seed \(seed)")
                all.append(id)
            case (2, let id?):
                order.remove(id)
                all.removeAll { $0 == id }
                for members in model.keys { model[members]?.removeAll { $0 == id } }
            case (3..<5, let id?):
                order.leave(id)
                for members in model.keys { model[members]?.removeAll { $0 == id } }
            case (_, let id?):
                let target = EvictionOrder.Class.allCases.randomElement(using: &random) ?? .idle
                order.join(id, target, at: start)
                for members in model.keys { model[members]?.removeAll { $0 == id } }
                model[target, default: []].append(id)
            }
            for members in EvictionOrder.Class.allCases {
                #expect(order.first(of: members) == model[members]?.first, "seed \(seed)")
                #expect(order.count(of: members) == model[members]?.count ?? 0, "seed \(seed)")
            }
        }
        // To the last one, in order.
        for members in EvictionOrder.Class.allCases {
            for expected in model[members] ?? [] {
                #expect(order.first(of: members) == expected, "seed \(seed)")
                order.leave(expected)
            }
            #expect(order.first(of: members) == nil && order.count(of: members) == 0, "seed \(seed)")
        }
    }
}
