import CacheCore
import Glibc

/// One line on the terminal that is drawn again ten times a second while work is under way; nothing at all when piped or quiet.
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
                paint("\r\u{1B}[K" + line(max(seconds, 0.001)))
                do { try await Task.sleep(for: .milliseconds(100)) } catch { break }
            }
            paint("\r\u{1B}[K")
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

    private static func paint(_ text: String) {
        var text = text
        _ = text.withUTF8 { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
