import CacheCore
import Foundation

/// What goes to people: lines on standard error, tables and one JSON object on standard output.
enum Terminal {
    enum Stream {
        case output
        case error

        fileprivate var descriptor: Descriptor { self == .output ? .standardOutput : .standardError }
    }

    /// Writes a line to standard error. If it cannot be written, nothing happens: the exit status still tells of the
    /// failure.
    static func complain(_ line: String) {
        // After what was logged before, unless that is not read.
        LineSink.standardError.flush(within: 1)
        _ = write(printable(line) + "\n", to: .error)
    }

    /// The same for a text of several lines, such as usage.
    static func complain(lines text: String) {
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) { complain(String(line)) }
    }

    /// Prints a line (or several), at once: a service manager may wait for it at the other end of a pipe.
    /// - Throws: `.io` if it cannot be written: output that was not received must not look like success.
    static func say(_ text: String, on stream: Stream = .output) throws(CacheError) {
        if let error = write(text + "\n", to: stream) {
            throw CacheError.system("write to standard \(stream)", error)
        }
    }

    /// Prints exactly one JSON object.
    static func printJSON(_ value: some Encodable, on stream: Stream = .output) throws {
        try say(try json(value), on: stream)
    }

    /// The same on standard output for a daemon, which must go on if it is not read.
    static func queueJSON(_ value: some Encodable) throws {
        LineSink.standardOutput.write(try json(value))
    }

    private static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// Prints rows under their titles; all but the first column are aligned to the right.
    static func printTable(_ titles: [String], _ rows: [[String]], on stream: Stream = .output) throws {
        let all = ([titles] + rows).map { $0.map(printable) }
        let widths = titles.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        let lines = all.map { row in
            row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + padding : padding + cell
            }.joined(separator: "  ")
        }
        try say(lines.joined(separator: "\n"), on: stream)
    }

    /// The text without what a terminal would obey: names come from strangers' archives. Control characters (C0, DEL,
    /// C1) become `?`.
    static func printable(_ text: String) -> String {
        func obeys(_ scalar: Unicode.Scalar) -> Bool { scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) }
        guard text.unicodeScalars.contains(where: obeys) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { result.append(obeys(scalar) ? "?" : scalar) }
        return String(result)
    }

    static var errorIsTerminal: Bool { Stream.error.descriptor.isTerminal }

    /// Columns of the terminal behind standard error; `nil` if it does not say.
    static var errorColumns: Int? { Stream.error.descriptor.terminalColumns }

    /// How long a write takes to learn that the process was asked to end.
    private static let turnMilliseconds: Int32 = 50
    /// What a pipe that takes anything takes without waiting.
    private static let pieceBytes = 4096

    /// Writes all of `text` without what traps or buffers on the way; the error if that does not work.
    ///
    /// Waits for a reader, but not beyond a signal that asks the process to end: then it is `.interrupted`. The
    /// descriptor may be shared with other processes, so it is not made non-blocking; instead nothing is written before
    /// there is room for it.
    static func write(_ text: String, to stream: Stream) -> Errno? {
        var text = text
        return text.withUTF8 { bytes -> Errno? in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                guard waitForRoom(stream) else { return .interrupted }
                do throws(Errno) {
                    let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(pieceBytes))
                    let count = try stream.descriptor.write(piece)
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                } catch {
                    // It would block if a process that shares the descriptor made it non-blocking, or was faster.
                    if error != .interrupted, error != .wouldBlock { return error }
                }
            }
            return nil
        }
    }

    /// False if there is none and the process was asked to end.
    private static func waitForRoom(_ stream: Stream) -> Bool {
        while true {
            let isEnding = SignalWatch.received != nil
            do throws(Errno) {
                if try stream.descriptor.isReady(for: .writing, within: isEnding ? 0 : turnMilliseconds) { return true }
            } catch {
                // Asked again, until the process is to end.
            }
            if isEnding { return false }
        }
    }
}

extension LineSink {
    static let standardError = LineSink(descriptor: .standardError)
    static let standardOutput = LineSink(descriptor: .standardOutput)
}

extension Int {
    /// For people: `512 B`, `1.5 MiB`.
    var inBytes: String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var value = Double(self)
        var unit = 0
        while value >= 1024 && unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return unit == 0 ? "\(self) B" : String(format: "%.1f %@", value, units[unit])
    }
}

extension Double {
    /// Seconds for people and JSON: to the millisecond.
    var toMilliseconds: Double { (self * 1000).rounded() / 1000 }
}
