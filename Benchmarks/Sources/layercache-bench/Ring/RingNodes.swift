import Foundation
import Synchronization

/// Daemons on addresses of the loopback interface, all on one port, as those behind one name are.
final class RingNodes: Sendable {
    private struct State {
        var daemons: [Daemon] = []
        var listed = 0
        var hasCrashed = false
        /// What the one that has crashed had used of the processor.
        var lostSeconds = 0.0
    }

    private let workspace: Workspace
    private let port: Int
    private let state: Mutex<State>

    /// As `--l2` would name them.
    var name: String { "dns+http://ring:\(port)" }
    /// What a lookup of the name finds.
    var addresses: [String] { state.withLock { state in (0..<state.listed).map(Self.address) } }

    init(_ workspace: Workspace, count: Int) throws {
        self.workspace = workspace
        let port = try Daemon.freePort()
        self.port = port
        var daemons: [Daemon] = []
        for number in 0..<count { daemons.append(try Self.start(workspace, number, port)) }
        state = Mutex(State(daemons: daemons, listed: count))
    }

    var endpoints: [(host: String, port: Int)] {
        state.withLock { state in (0..<state.listed).map { (Self.address($0), port) } }
    }

    /// What the daemons have used of the processor.
    var processorSeconds: Double {
        state.withLock { state in
            state.daemons.dropFirst(state.hasCrashed ? 1 : 0).reduce(state.lostSeconds) { $0 + $1.processorSeconds }
        }
    }

    /// Starts one more, and lists it.
    func add() throws {
        let number = state.withLock { $0.daemons.count }
        let daemon = try Self.start(workspace, number, port)
        state.withLock { state in
            state.daemons.append(daemon)
            state.listed += 1
        }
    }

    private var first: Daemon { state.withLock { $0.daemons[0] } }

    func signal(_ number: Int32) { first.signal(number) }

    func crash() {
        state.withLock { state in
            state.lostSeconds = state.daemons[0].processorSeconds
            state.daemons[0].crash()
            state.hasCrashed = true
        }
    }

    func end() {
        let daemons = state.withLock { $0.hasCrashed ? Array($0.daemons.dropFirst()) : $0.daemons }
        for daemon in daemons { daemon.signal(SIGTERM) }
        for daemon in daemons { daemon.stop() }
    }

    private static func address(_ number: Int) -> String { "127.0.0.\(number + 1)" }

    private static func start(_ workspace: Workspace, _ number: Int, _ port: Int) throws -> Daemon {
        try Daemon.layercache(
            workspace, store: workspace.fresh("ring-\(number)"), memory: "256MiB", host: address(number), port: port)
    }
}

/// What happens to one of the nodes while chunks are read.
enum RingEvent: String, CaseIterable {
    case healthy
    case stopped = "one stopped"
    case slow = "one slow"
    case gone = "one gone"
    case flapping = "one flapping"
    case added = "one added"

    /// Runs until the task is cancelled; the node is as it was then, but for one that is gone.
    func happen(to nodes: RingNodes) async throws {
        switch self {
        case .healthy: break
        case .gone: nodes.crash()
        case .added: try nodes.add()
        case .stopped: await pulse(nodes, stopped: .seconds(3600), running: .zero)
        // It has the processor for a tenth of the time.
        case .slow: await pulse(nodes, stopped: .milliseconds(45), running: .milliseconds(5))
        case .flapping: await pulse(nodes, stopped: .seconds(1), running: .seconds(1))
        }
    }

    private func pulse(_ nodes: RingNodes, stopped: Duration, running: Duration) async {
        while !Task.isCancelled {
            nodes.signal(SIGSTOP)
            // Cancelled, it ends at once.
            try? await Task.sleep(for: stopped)
            nodes.signal(SIGCONT)
            try? await Task.sleep(for: running)
        }
    }
}
