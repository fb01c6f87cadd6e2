import Foundation

/// A pattern of reads as fio does them: one thread, one read at a time.
struct FioJob {
    let name: String
    let pattern: String
    let blockBytes: Int
    /// Reads of the job; a sequential one may end earlier with its file.
    let reads: Int
    let isSequential: Bool

    static func all(quick: Bool) -> [FioJob] {
        [
            FioJob(
                name: "random 4 KiB", pattern: "randread", blockBytes: 4096, reads: quick ? 500 : 4000,
                isSequential: false),
            FioJob(
                name: "random 128 KiB", pattern: "randread", blockBytes: 128 << 10, reads: quick ? 100 : 800,
                isSequential: false),
            FioJob(name: "sequential", pattern: "read", blockBytes: 1 << 20, reads: .max, isSequential: true),
        ]
    }

    /// Runs it over the first `byteCount` bytes of `path` with pread(2). What the page cache has stays there.
    func run(_ workspace: Workspace, _ path: String, byteCount: Int) throws -> FioResult {
        let total = reads > byteCount / blockBytes ? byteCount : reads * blockBytes
        let child = try workspace.start([
            installed("fio") ?? "fio", "--name=job", "--filename=\(path.replacingOccurrences(of: ":", with: "\\:"))",
            "--readonly", "--rw=\(pattern)",
            "--bs=\(blockBytes)", "--ioengine=psync", "--invalidate=0", "--randrepeat=1", "--size=\(byteCount)",
            "--io_size=\(total)", "--runtime=60", "--output-format=json+",
        ])
        let usage = child.end()
        // Notes may stand before the object; what went wrong is in the first of them.
        let output = child.output
        guard usage.status == 0 else {
            throw BenchError("fio cannot read \(path): \(output.split(separator: "\n").first ?? "it said nothing")")
        }
        guard let start = output.firstIndex(of: "{") else { throw BenchError("fio printed no object") }
        let report = try JSONDecoder().decode(FioReport.self, from: Data(output[start...].utf8))
        guard let job = report.jobs.first, job.read.total_ios > 0 else {
            throw BenchError("fio read nothing of \(path)")
        }
        return FioResult(job)
    }
}

/// What a job found.
struct FioResult {
    let byteCount: Double
    let bytesPerSecond: Double
    /// CPU that the reads took, in the kernel too; without what fio needs to begin and to end.
    let cpuSeconds: Double
    /// Microseconds and how many reads took them, in order.
    private let bins: [(microseconds: Double, count: Int)]

    fileprivate init(_ job: FioReport.Job) {
        byteCount = job.read.io_bytes
        bytesPerSecond = job.read.bw_bytes
        // Shares in percent, of milliseconds.
        cpuSeconds = (job.usr_cpu + job.sys_cpu) / 100 * job.job_runtime / 1e3
        bins = (job.read.clat_ns.bins ?? [:]).compactMap { name, count in Double(name).map { ($0 / 1e3, count) } }
            .sorted { $0.microseconds < $1.microseconds }
    }

    /// The latency that `share` of the reads do not exceed, in microseconds.
    func percentile(_ share: Double) -> Double {
        let wanted = share * Double(bins.reduce(0) { $0 + $1.count })
        var seen = 0
        for bin in bins {
            seen += bin.count
            if Double(seen) >= wanted { return bin.microseconds }
        }
        return 0
    }
}

/// The part of fio's `json+` that is used.
private struct FioReport: Decodable {
    struct Latency: Decodable { let bins: [String: Int]? }
    struct Read: Decodable {
        let io_bytes: Double
        let bw_bytes: Double
        let total_ios: Int
        let clat_ns: Latency
    }
    struct Job: Decodable {
        let read: Read
        let usr_cpu, sys_cpu, job_runtime: Double
    }
    let jobs: [Job]
}
