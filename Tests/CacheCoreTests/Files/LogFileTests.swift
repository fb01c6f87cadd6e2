import CacheFiles
import Foundation
import TestSupport
import Testing

@Suite("A log in a file")
struct LogFileTests {
    private let directory: TemporaryDirectory
    private var path: String { directory("worker.log") }

    init() throws { directory = try TemporaryDirectory() }

    private func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    private func write(_ lines: some Sequence<String>, _ sink: LineSink) {
        for line in lines { sink.write(line) }
        sink.flush(within: 300)
    }

    @Test func linesGoToTheEndOfAFileForItsOwner() throws {
        write(["one", "two"], LineSink(file: LogFile(path)))
        write(["three"], LineSink(file: LogFile(path)))
        #expect(try text(path) == "one\ntwo\nthree\n")
        #expect(FileStatus.find(path)?.permissions == 0o600)
    }

    @Test func nothingIsMadeBeforeTheFirstLine() {
        let sink = LineSink(file: LogFile(path))
        sink.flush(within: 300)
        #expect(FileStatus.find(path) == nil)
    }

    /// Two processes, as far as a file can tell.
    @Test func twoFilesOfBoundedSizeHoldTheLatestLines() throws {
        let sinks = (0..<2).map { _ in LineSink(file: LogFile(path, mostBytes: 1000)) }
        for number in 0..<200 { write(["line \(number)"], sinks[number % 2]) }
        let (old, new) = (try text("\(path).1"), try text(path))
        #expect(old.utf8.count + new.utf8.count < 2100)
        let lines = (old + new).split(separator: "\n")
        #expect(lines.count > 80)
        #expect(lines == (200 - lines.count..<200).map { "line \($0)" })
        #expect(sinks.allSatisfy { $0.dropped == 0 })
        #expect(
            Set(try FileManager.default.contentsOfDirectory(atPath: directory.path)) == ["worker.log", "worker.log.1"])
    }

    @Test func aFullFileThatCannotBePutAsideGrowsNoFurther() throws {
        try FileManager.default.createDirectory(atPath: "\(path).1", withIntermediateDirectories: false)
        let sinks = (0..<2).map { _ in LineSink(file: LogFile(path, mostBytes: 1000)) }
        for number in 0..<200 { write(["line \(number)"], sinks[number % 2]) }
        #expect(try text(path).utf8.count < 1020)
        #expect(sinks[0].dropped + sinks[1].dropped > 70)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(path).1").isEmpty)
    }

    @Test func aFileThatWasTakenAwayIsMadeAgain() throws {
        let sink = LineSink(file: LogFile(path))
        write(["one"], sink)
        try FileManager.default.removeItem(atPath: path)
        write(["two"], sink)
        #expect(try text(path) == "two\n")
    }

    @Test(arguments: ["ln -s elsewhere", "mkfifo", "mkdir"]) func whatIsNoFileIsNotWrittenTo(_ command: String) throws {
        _ = try ChildProcess("/bin/sh", ["-c", "\(command) '\(path)'"]).blockUntilEnd().succeeded()
        let sink = LineSink(file: LogFile(path))
        write(["one"], sink)
        #expect(sink.dropped == 1)
        #expect(FileStatus.find(directory("elsewhere")) == nil)
    }
}
