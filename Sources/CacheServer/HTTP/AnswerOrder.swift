import NIOCore

/// What waits until all sockets have been read that one go of the event loop has found readable.
protocol OrderedWork: AnyObject {
    /// What ``AnswerOrder`` notes of it; zero at first.
    var lastAnswer: UInt64 { get set }

    /// Answers what has come.
    func answer()
}

/// The order of answers within one go of the event loop: first who was answered longest ago.
///
/// The kernel lists those first that it listed the last time, and after them who has waited since before that: epoll,
/// level-triggered, puts what it has told of back into its list at once. In that order a client whose request came
/// just after the list was made waits for two rounds of all others, and that was the tail of what many clients saw.
///
/// A go costs one task and the sort of what it has read, whose bytes are kept until its end.
final class AnswerOrder {
    private struct Entry {
        let lastAnswer: UInt64
        let work: any OrderedWork
    }

    private let eventLoop: any EventLoop
    private var waiting: [Entry] = []
    private var answering: [Entry] = []
    private var answers: UInt64 = 0
    private var isScheduled = false

    init(on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// Has work wait for its place; to be called while sockets are read.
    func wait(_ work: any OrderedWork) {
        waiting.append(Entry(lastAnswer: work.lastAnswer, work: work))
        guard !isScheduled else { return }
        isScheduled = true
        // The event loop comes to its tasks once it has been through all sockets.
        eventLoop.assumeIsolated().execute { self.answerAll() }
    }

    private func answerAll() {
        isScheduled = false
        swap(&waiting, &answering)
        answering.sort { $0.lastAnswer < $1.lastAnswer }
        for entry in answering {
            answers += 1
            entry.work.lastAnswer = answers
            entry.work.answer()
        }
        answering.removeAll(keepingCapacity: answering.count <= Self.mostKept)
    }

    /// Room for more connections than that is not kept for the next go.
    private static let mostKept = 1024
}
