import CacheCore
import Glibc
import Logging
import NIOPosix
import Testing

/// Log lines reach a reader that keeps up; one that does not keep up costs lines and never time.
struct LineSinkTests {
    private func makePipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    /// All that comes until the other end is closed. Blocks.
    private func readAll(_ descriptor: Int32) -> [Substring] {
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count <= 0 { break }
            text += buffer[..<count]
        }
        return String(decoding: text, as: UTF8.self).split(separator: "\n")
    }

    @Test func linesArriveInOrder() throws {
        let pipe = try makePipe()
        let sink = LineSink(descriptor: pipe.write)
        for number in 0..<100 { sink.write("line \(number)") }
        sink.flush(within: 300)
        close(pipe.write)
        #expect(readAll(pipe.read) == (0..<100).map { "line \($0)" })
        #expect(sink.dropped == 0)
        close(pipe.read)
    }

    @Test func fullPipeDropsLinesAndTheReaderIsToldHowMany() async throws {
        let pipe = try makePipe()
        let sink = LineSink(descriptor: pipe.write, capacity: 10_000)
        let line = String(repeating: "x", count: 999)
        // The pipe holds 64 KiB, the queue ten lines.
        for _ in 0..<200 { sink.write(line) }
        let dropped = sink.dropped
        #expect(dropped > 0)
        // The pipe has no reader: the end of the process does not wait for one.
        sink.flush(within: 0.001)
        // Both on threads of their own.
        async let reading = NIOThreadPool.singleton.runIfActive { readAll(pipe.read) }
        try await NIOThreadPool.singleton.runIfActive { sink.flush(within: 300) }
        close(pipe.write)
        let lines = try await reading
        #expect(lines.count { $0 == line } == 200 - dropped)
        // In as many parts as there were times when a line could be written.
        let told = lines.filter { $0.hasSuffix(" lines of the log were dropped here: nobody read them in time") }
        #expect(told.compactMap { Int($0.prefix { $0.isNumber }) }.reduce(0, +) == dropped)
        close(pipe.read)
    }

    @Test(arguments: ["/dev/full", "/dev/null"]) func whatCannotBeWrittenIsCounted(path: String) throws {
        // The wrong way round for one of them: every write fails.
        let descriptor = open(path, path == "/dev/full" ? O_WRONLY | O_CLOEXEC : O_RDONLY | O_CLOEXEC)
        try #require(descriptor >= 0)
        let sink = LineSink(descriptor: descriptor)
        for number in 0..<10 { sink.write("line \(number)") }
        sink.flush(within: 300)
        #expect(sink.dropped == 10)
        close(descriptor)
    }

    @Test func logHandlerWritesOneLineWhateverIsInIt() throws {
        let pipe = try makePipe()
        let sink = LineSink(descriptor: pipe.write)
        var logger = Logger(label: "test") { LineLogHandler(label: $0, sink: sink) }
        logger[metadataKey: "b"] = "two\nlines\u{1B}[31m"
        logger.debug("not this")
        logger.warning("hello", metadata: ["a": "1"])
        sink.flush(within: 300)
        close(pipe.write)
        let lines = readAll(pipe.read)
        #expect(lines.count == 1)
        #expect(lines.first?.contains(" warning test: a=1 b=two lines [31m [") == true)
        #expect(lines.first?.hasSuffix("] hello") == true)
        close(pipe.read)
    }
}
