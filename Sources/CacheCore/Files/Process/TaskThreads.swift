internal import NIOCore
internal import NIOPosix
@_spi(ExperimentalCustomExecutors) @_spi(ExperimentalScheduling) internal import _Concurrency

/// Threads of our own for all tasks of the process; they sleep while there is nothing to do.
///
/// Those of libdispatch, which the runtime takes by itself, are looked at once a second by a timer that starts with the
/// first of them and never ends (docs/decisions/0023-tasks-on-threads-of-our-own.md).
package enum TaskThreads {
    /// Has all tasks run on them from now on, one thread a core and at least two. Only before the first task.
    package static func install() { _createExecutors(factory: Executors.self) }
}

private struct Executors: ExecutorFactory {
    /// The system's, which starts no thread: nothing of ours runs on the main actor.
    static var mainExecutor: any MainExecutor { PlatformExecutorFactory.mainExecutor }
    static var defaultExecutor: any TaskExecutor { TaskThreadsExecutor.shared }
}

/// Jobs in the order in which they come, on a pool that lasts as long as the process; those that are to wait, by way of
/// an event loop.
private final class TaskThreadsExecutor: TaskExecutor, SchedulingExecutor {
    static let shared = TaskThreadsExecutor()

    private let pool = NIOThreadPool(numberOfThreads: max(System.coreCount, 2))
    private let timer: any EventLoop = MultiThreadedEventLoopGroup.singleton.any()

    private init() { pool.start() }

    func enqueue(_ job: consuming ExecutorJob) { submit(UnownedJob(job)) }

    func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, at instant: C.Instant, tolerance: C.Duration?, clock: C
    ) {
        enqueue(job, after: clock.now.duration(to: instant), tolerance: tolerance, clock: clock)
    }

    func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C
    ) {
        let job = UnownedJob(job)
        guard let delay = delay as? Duration else {
            preconditionFailure("a clock that counts in \(C.Duration.self) has to sleep by itself")
        }
        guard delay > .zero else { return submit(job) }
        timer.scheduleTask(in: TimeAmount(delay)) { [self] in submit(job) }
    }

    private func submit(_ job: UnownedJob) {
        pool.submit { [self] _ in job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}
