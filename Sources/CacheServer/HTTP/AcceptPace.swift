internal import NIOCore
internal import Synchronization

/// Accepts more slowly while new connections find no free place: clients that come again at once, as often as they are
/// turned away, would otherwise take all of the daemon's time from those that it serves.
///
/// Who comes meanwhile waits in the kernel's line.
final class AcceptPace: ChannelOutboundHandler {
    typealias OutboundIn = Never

    private let state: ServerState
    /// With ``batch`` this makes 1,600 a second: an eighth of what a core can take.
    private static let pause = TimeAmount.microseconds(2_500)
    /// Connections that are accepted in one go. Each takes as long as a few answers, for which others wait.
    static let batch: UInt = 4

    init(_ state: ServerState) {
        self.state = state
    }

    func read(context: ChannelHandlerContext) {
        guard state.isCrowded.exchange(false, ordering: .relaxed) else { return context.read() }
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) { context.read() }
    }
}
