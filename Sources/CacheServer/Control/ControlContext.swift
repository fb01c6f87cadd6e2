internal import Hummingbird
internal import Logging

/// What Hummingbird's router carries along with a control request: only its own needs, no connection.
struct ControlContext: RequestContext {
    struct Source: RequestContextSource {
        let logger: Logger
    }

    var coreContext: CoreRequestContextStorage

    init(source: Source) {
        coreContext = CoreRequestContextStorage(source: source)
    }
}
