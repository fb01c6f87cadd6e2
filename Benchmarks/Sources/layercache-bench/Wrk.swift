import Foundation

/// `wrk`, which asks a server for chunks in turns over 16 connections, from one thread.
struct Wrk {
    /// What it found in one run.
    struct Answer: Decodable {
        let requests: Double
        let microseconds: Double
        let errors: Int
        /// Latency in microseconds at the percentiles 0.5, 1, 1.5 ... 99.5, and 99.9.
        let latency: [Double]
    }

    private let program: String
    private let workspace: Workspace
    private let script: String

    /// - Returns: `nil` where it is not installed.
    init?(_ workspace: Workspace) throws {
        guard let program = installed("wrk") else { return nil }
        self.program = program
        self.workspace = workspace
        script = "\(workspace.root)/get.lua"
        try Self.script.write(toFile: script, atomically: false, encoding: .utf8)
    }

    /// - Parameters:
    ///   - url: of the server, without a path.
    ///   - names: a file with the name of a chunk in each line.
    func get(_ url: String, names: String, seconds: Int) throws -> Answer {
        let child = try workspace.start(
            [program, "-t1", "-c16", "-d\(seconds)s", "-s", script, url], ["BENCH_NAMES": names])
        _ = try child.success()
        let answer: Answer = try workspace.decode(child.output)
        guard answer.errors == 0 else { throw BenchError("\(url): \(answer.errors) GETs failed") }
        return answer
    }

    private static let script = """
        local requests, turn = {}, 0
        init = function()
            for name in io.lines(os.getenv("BENCH_NAMES")) do
                requests[#requests + 1] = wrk.format("GET", "/v1/chunks/" .. name)
            end
        end
        request = function()
            turn = turn % #requests + 1
            return requests[turn]
        end
        done = function(summary, latency)
            local e = summary.errors
            local errors = e.connect + e.read + e.write + e.status + e.timeout
            local parts = {}
            for step = 1, 199 do parts[#parts + 1] = latency:percentile(step / 2) end
            parts[#parts + 1] = latency:percentile(99.9)
            io.write(string.format('\\n{"requests":%d,"microseconds":%d,"errors":%d,"latency":[%s]}\\n',
                summary.requests, summary.duration, errors, table.concat(parts, ",")))
        end
        """
}

/// Runs against one server, kept together.
struct Served {
    let name: String
    let daemon: Daemon
    /// A file with the names that are asked for, and the length of each body.
    let names: String
    let length: Int
    private(set) var answers: [Wrk.Answer] = []

    init(_ name: String, _ daemon: Daemon, names: String, length: Int) {
        self.name = name
        self.daemon = daemon
        self.names = names
        self.length = length
    }

    mutating func run(_ wrk: Wrk, seconds: Int) throws {
        answers.append(try wrk.get(daemon.url, names: names, seconds: seconds))
    }

    /// Lets its server, which stands still, go on for the time of the run.
    mutating func runAlone(_ wrk: Wrk, seconds: Int) throws {
        daemon.signal(SIGCONT)
        defer { daemon.signal(SIGSTOP) }
        // What was due meanwhile is done at once.
        usleep(100_000)
        try run(wrk, seconds: seconds)
    }

    /// Of bodies; what a server sends with them is not what it is asked for.
    var gigabytesPerSecond: Double { answers.map { $0.requests * Double(length) / $0.microseconds / 1e3 }.median }

    /// In milliseconds.
    var p99: Double { latency(197) / 1e3 }

    private func latency(_ index: Int) -> Double { answers.map { $0.latency[index] }.median }

    var series: Series {
        guard let count = answers.first?.latency.count else { return Series(name, []) }
        return Series(
            name,
            (0..<count).map { (latency($0) / 1e3, $0 == count - 1 ? 0.999 : Double($0 + 1) / 200) })
    }
}
