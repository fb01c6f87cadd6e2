import CacheCore
import Logging

/// What the daemon tells the service manager that has started it, if one has (`Type=notify`).
struct DaemonManager: Sendable {
    private let manager = ServiceManager()
    private let logger: Logger

    init(logger: Logger) {
        self.logger = logger
    }

    /// Requests are served.
    func ready() { tell("READY=1") }

    /// Around what SIGHUP does: who asked the manager for it waits until it is done.
    func reloading(_ body: () -> Void) {
        tell("RELOADING=1")
        body()
        tell("READY=1")
    }

    private func tell(_ text: String) {
        do {
            try manager?.tell(text)
        } catch {
            // It goes on serving all the same; the manager will say what it makes of the silence.
            logger.warning("the service manager does not listen", metadata: ["error": "\(error)"])
        }
    }
}
