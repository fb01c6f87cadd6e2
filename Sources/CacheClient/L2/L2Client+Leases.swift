internal import CacheCore
internal import NIOCore
internal import NIOHTTP1

/// Leases, and waiting in line for the fills of other workers.
extension L2Client {
    /// What an asker wants of a chunk that the daemon has not.
    enum Asking: Sendable {
        /// To fill it, or to wait for who does.
        case toFill
        /// To know; it neither fills nor waits.
        case toLook
    }

    /// An answer, and how long it took since the attempt was admitted.
    struct Answer: Sendable {
        let answer: TierAnswer
        /// With a miss: that this process is to fill.
        var lease: FillLease?
        /// With no answer: that the daemon has too much to do, and when to come again.
        var shed: Duration?
        let after: Duration
    }

    /// How long a request may be in line now, in whole seconds; 0 if not at all. An attempt that races with L3 waits
    /// for nobody.
    func secondsInLine(_ attempt: L2Attempt) -> Int {
        attempt.isRace ? 0 : Int(attempt.node.budget.waitInLine(longestWait).components.seconds)
    }

    func fields(_ asking: Asking, seconds: Int) -> [(String, String)] {
        switch asking {
        case .toLook: [("Prefer", "wait=0")]
        case .toFill: [worker] + (seconds > 0 ? [("Prefer", "wait=\(seconds), processing")] : [])
        }
    }

    func lease(_ head: HTTPResponseHead, of id: ChunkID, from connections: L2ConnectionPool) -> FillLease? {
        guard let token = head.headers.first(name: Self.leaseField), token.utf8.count <= Self.longestToken else {
            return nil
        }
        connections.lines.gaveLease(at: time.now())
        return FillLease(token) { [deadline] token in
            let request = L2Request(
                method: .DELETE, path: "/v1/chunks/\(id.hex)/lease", fields: [(Self.leaseField, token)],
                isUrgent: true, limit: Self.lineBytes)
            // Where this does not arrive, the lease ends with its time.
            Task { try? await connections.exchange(request, for: .fill, within: deadline) }
        }
    }

    /// How much longer a read waits for L2 alone, before L3 is asked as well; zero or less if it is late.
    /// - Parameter allowance: that it had at first; a machine that has become busy since gives it more.
    func patience(_ attempt: L2Attempt, _ allowance: Duration) -> Duration {
        let budget = attempt.node.budget
        var allowance = allowance
        if isAmongFills(attempt) {
            let long = budget.wait(amongFills: true)
            let pace = members.pace(besides: attempt.node)
            allowance = max(allowance, pace?.patience(long, usual: budget.wait, slack: L2Budget.free) ?? long)
        } else {
            allowance = max(allowance, budget.wait)
        }
        let now = time.now()
        let rationed = attempt.node.connections.lastAnswerOfRationed
        let began: Duration
        switch attempt.line.stage {
        // The daemon is there, and waits for another worker. The exchange has an end of its own.
        case .inLine: return allowance
        case .queued where isHeldUp(attempt) && now - attempt.began < deadline + longestWait: return allowance
        case .sent(let at) where attempt.line.heldUp > .zero: began = at
        // It has few connections for each worker, and works: who waits for one waits for this worker's other reads.
        case .queued: began = rationed.map { min($0, attempt.began + deadline) } ?? attempt.began
        case .sent(let at) where rationed != nil: began = min(at, attempt.began + deadline)
        case .sent, .ended: began = attempt.began
        }
        return max(began, attempt.began) + allowance - now
    }

    static func newName() -> String {
        var bits = [UInt8](repeating: 0, count: 16)
        bits.withUnsafeMutableBytes { SecureRandom.fill($0) }
        return bits.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }

    static let leaseField = "Layercache-Lease"
    private static let longestToken = 256
}
