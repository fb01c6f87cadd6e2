import CacheFiles
import Foundation
import TestSupport
import Testing

@Suite("The signals of a thread")
struct ThreadSignalsTests {
    private func isDying(own: Int32 = 0, shared: Int32 = 0, blocked: Int32 = 0, ignored: Int32 = 0, caught: Int32 = 0)
        -> Bool?
    {
        func line(_ name: String, _ signal: Int32) -> String {
            "\(name):\t" + String(signal == 0 ? 0 : UInt64(1) << (signal - 1), radix: 16) + "\n"
        }
        let status =
            "Name:\ta b\nState:\tS (sleeping)\n" + line("SigPnd", own) + line("ShdPnd", shared)
            + line("SigBlk", blocked) + line("SigIgn", ignored) + line("SigCgt", caught)
        return ThreadSignals(status: status)?.isDying
    }

    @Test func onlyWhatEndsAProcessIsDeadly() {
        #expect(isDying() == false)
        #expect(isDying(own: SIGKILL) == true)
        #expect(isDying(shared: SIGTERM) == true)
        #expect(isDying(own: SIGUSR1) == true)
        #expect(isDying(own: SIGUSR1, caught: SIGUSR1) == false)
        #expect(isDying(shared: SIGTERM, blocked: SIGTERM) == false)
        #expect(isDying(shared: SIGHUP, ignored: SIGHUP) == false)
        for signal in [SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH] {
            #expect(isDying(own: signal) == false, "\(signal)")
        }
        #expect(ThreadSignals(status: "SigPnd:\t0\n") == nil)
    }

    @Test func theSystemTells() throws {
        #expect(ThreadSignals(of: UInt32(getpid()))?.isDying == false)
        #expect(ThreadSignals(of: .max) == nil)
    }
}
