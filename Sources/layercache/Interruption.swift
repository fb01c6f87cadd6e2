import Glibc
import Synchronization
import UnixSignals

/// The end of a verb by a signal: what is thrown instead of the error that its cancellation brought about.
struct Interruption: Error {
    /// By the convention of shells.
    let status: Int32

    /// Runs `verb` and cancels it when a signal asks the process to end, so that it cleans up after itself. A second signal ends the
    /// process at once.
    static func whileListening(_ verb: sending @escaping () async throws -> Void) async throws {
        let received = Received()
        let signals = await UnixSignalsSequence(
            trapping: [.sigint, .sigterm, .sighup].filter { !$0.isIgnored })
        let work = Task { try await verb() }
        let listener = Task {
            for await signal in signals {
                if received.first.exchange(signal.number, ordering: .relaxed) != 0 { _exit(128 + signal.number) }
                work.cancel()
            }
        }
        defer { listener.cancel() }
        do {
            try await work.value
        } catch {
            let number = received.first.load(ordering: .relaxed)
            throw number == 0 ? error : Interruption(status: 128 + number)
        }
    }

    private final class Received: Sendable {
        let first = Atomic<Int32>(0)
    }
}

extension UnixSignal {
    var number: Int32 {
        switch self {
        case .sighup: SIGHUP
        case .sigint: SIGINT
        default: SIGTERM
        }
    }

    /// Whether whoever started the process wants it to live on (`nohup`, or a shell's background).
    var isIgnored: Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
    }
}
