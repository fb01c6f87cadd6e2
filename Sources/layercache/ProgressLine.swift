import CacheCore

/// One line on the terminal that is drawn again ten times a second while work is under way; nothing at all when piped
/// or quiet.
struct ProgressLine {
    /// Runs `work` and shows `line()` meanwhile; the line is gone when this returns.
    static func during<T: Sendable>(
        _ options: CommonOptions, _ line: @escaping @Sendable (Double) -> String,
        _ work: () async throws -> T
    ) async throws -> T {
        guard Terminal.errorIsTerminal, !options.quiet, !options.json else { return try await work() }
        let start = ContinuousClock.now
        let painter = Task {
            while !Task.isCancelled {
                let seconds = (ContinuousClock.now - start) / .seconds(1)
                paint(line(max(seconds, 0.001)))
                do { try await Task.sleep(for: .milliseconds(100)) } catch { break }
            }
            paint("")
        }
        let result: T
        do {
            result = try await work()
        } catch {
            painter.cancel()
            await painter.value
            throw error
        }
        painter.cancel()
        await painter.value
        return result
    }

    /// Puts `text` in place of what was painted last. It is cut to the terminal's width: a line that goes on in the
    /// next row stays there.
    private static func paint(_ text: String) {
        let columns = Terminal.errorColumns ?? .max
        _ = Terminal.write("\r\u{1B}[K" + Terminal.printable(text).prefix(columns - 1), to: .error)
    }
}
