package import CacheCore
internal import CacheFiles

/// Finds the worker of this host, or starts one.
package struct WorkerLauncher: Sendable {
    /// How a worker is started, beside which the process that starts it may end.
    package struct Start: Sendable {
        let program: String
        let arguments: [String]

        package init(program: String, arguments: [String]) {
            self.program = program
            self.arguments = arguments
        }
    }

    /// How long a worker may take until it answers: its L1 is checked first.
    private static let patience = Duration.seconds(60)
    private static let pause = Duration.milliseconds(10)

    private let place: WorkerPlace
    private let time: TimeSource

    package init(_ place: WorkerPlace, time: TimeSource = .system) {
        self.place = place
        self.time = time
    }

    /// Runs `body` with a client of a worker that answers; waits for one that is starting, or between two processes.
    ///
    /// - Parameter start: starts a worker where none runs; `nil` makes that an error.
    package func withWorker<Answer: Sendable>(
        orStart start: Start?, _ body: (WorkerClient) async throws -> Answer
    ) async throws -> Answer {
        let client = WorkerClient(socket: place.socket)
        let end = time.now() + Self.patience
        var started: StartedWorker?
        while true {
            do {
                return try await body(client)
            } catch let error as WorkerClient.NoWorker {
                if !place.isTaken {
                    guard let start else { throw CacheError(.io, error.description) }
                    if let started, let failure = try started.failure() { throw failure }
                    // Several may start one: all but one of them end at once, and their starters use that one.
                    if started == nil {
                        try WorkerPlace.checkRights()
                        started = try StartedWorker(start, log: place.log)
                    }
                }
                guard time.now() < end else {
                    throw CacheError(
                        .timedOut,
                        "a worker has the place of \(place.socket), and does not answer: see its log, \(place.log) if a"
                            + " mount has started it")
                }
            }
            try await time.sleep(Self.pause)
        }
    }
}

/// A worker that was started by this process, and what it says until it serves.
private final class StartedWorker {
    private let process: SpawnedProcess
    /// Its standard error.
    private let complaints: Lifeline
    private let log: String

    init(_ start: WorkerLauncher.Start, log: String) throws(CacheError) {
        self.log = log
        let nothing = try OpenFile.open("/dev/null", .readWrite)
        let (own, other) = try Lifeline.make()
        var spawn = ChildSpawn(program: start.program, arguments: start.arguments)
        spawn.files = [
            .init(nothing.descriptor, as: 0), .init(nothing.descriptor, as: 1), .init(other.descriptor, as: 2),
        ]
        spawn.hasOwnSession = true
        process = try withExtendedLifetime((nothing, other)) { () throws(CacheError) in try spawn.start() }
        complaints = own
    }

    private static let mostComplaintBytes = 4096

    /// What it ended with; `nil` while it runs.
    func failure() throws(CacheError) -> CacheError? {
        let end = try reporting("wait for the worker") { () throws(Errno) in try process.endIfEnded() }
        guard end != nil else { return nil }
        var bytes: [UInt8] = []
        while bytes.count < Self.mostComplaintBytes, let byte = complaints.receive() { bytes.append(byte) }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        let reason = lines.last.map { $0.hasPrefix("layercache: ") ? $0.dropFirst(12) : $0 } ?? "see \(log)"
        return CacheError(.io, "the worker that was started ended: \(reason)")
    }
}
