import CacheCore
import Foundation
import Glibc

/// What goes to people: lines on standard error, tables and one JSON object on standard output.
enum Terminal {
    /// Writes a line to standard error.
    static func complain(_ line: String) {
        FileHandle.standardError.write(Data((line + "\n").utf8))
    }

    static var errorIsTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// Prints exactly one JSON object on standard output, at once: a service manager may wait for it at the other end of a pipe.
    static func printJSON(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let line = try encoder.encode(value) + Data("\n".utf8)
        do {
            try FileHandle.standardOutput.write(contentsOf: line)
        } catch {
            throw CacheError(.io, "cannot write to standard output", cause: error)
        }
    }

    /// Prints rows under their titles; all but the first column are aligned to the right.
    static func printTable(_ titles: [String], _ rows: [[String]]) {
        let widths = titles.indices.map { column in
            ([titles] + rows).map { $0[column].count }.max() ?? 0
        }
        for row in [titles] + rows {
            let cells = row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + padding : padding + cell
            }
            print(cells.joined(separator: "  "))
        }
    }
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
