import CacheAgent
import Testing

@Suite struct WorkerSocketTests {
    @Test("root has the host's socket, a user one of their own, and a user without a runtime directory none")
    func paths() {
        #expect(
            WorkerSocket.standardPath(isRoot: true, runtimeDirectory: "/run/user/0") == "/run/layercache/worker.sock")
        #expect(
            WorkerSocket.standardPath(isRoot: false, runtimeDirectory: "/run/user/7")
                == "/run/user/7/layercache/worker.sock")
        #expect(WorkerSocket.standardPath(isRoot: false, runtimeDirectory: "") == nil)
        #expect(WorkerSocket.standardPath(isRoot: false, runtimeDirectory: nil) == nil)
    }
}
