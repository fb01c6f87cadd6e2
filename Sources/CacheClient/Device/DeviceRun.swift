internal import CacheCore
internal import Logging
internal import NIOConcurrencyHelpers

/// What happens beside the reads of a device: its trace is looked up, chunks are fetched ahead by it, and the run's own
/// touches are added to it in the end.
final class DeviceRun: Sendable {
    private struct State {
        var preparing: Task<Void, Never>?
        var timer: Task<Void, Never>?
        var saving: Task<Void, Never>?
        var hasBegun = false
    }

    private let library: TraceLibrary
    private let owner: TraceLibrary.Owner
    private let prefetcher: Prefetcher
    private let options: DeviceOptions
    private let time: TimeSource
    private let state = NIOLockedValueBox(State())

    init(
        _ library: TraceLibrary, _ owner: TraceLibrary.Owner, _ prefetcher: Prefetcher, _ options: DeviceOptions,
        time: TimeSource
    ) {
        self.library = library
        self.owner = owner
        self.prefetcher = prefetcher
        self.options = options
        self.time = time
    }

    deinit {
        state.withLockedValue { state in
            state.preparing?.cancel()
            state.timer?.cancel()
        }
    }

    /// Looks for the trace and fetches by it, beside the caller.
    func start() {
        guard options.records || options.prefetch != .none else { return }
        let work = Task { [library, owner, prefetcher, options] in
            var trace = await library.find(owner)
            do { try trace?.check(against: prefetcher.chunks.map.chunkCount) } catch {
                prefetcher.logger.warning(
                    "a trace is not used", metadata: ["image": "\(owner.image)", "error": "\(error)"])
                trace = nil
            }
            if let trace, trace.runs >= DeviceOptions.maximumRecordedRuns { prefetcher.touches.stopRecording() }
            guard options.prefetch != .none else { return }
            await prefetcher.run(trace, all: options.prefetch == .all)
        }
        state.withLockedValue { $0.preparing = work }
    }

    /// Waits until the trace was looked up and what is to be fetched ahead was.
    func prepared() async { await state.withLockedValue { $0.preparing }?.value }

    /// A program reads contents: the run is recorded from now on for a while.
    func begin() {
        guard options.records else { return }
        state.withLockedValue { state in
            guard !state.hasBegun else { return }
            state.hasBegun = true
            state.timer = Task { [weak self, time, duration = options.recordingTime] in
                guard (try? await time.sleep(duration)) != nil else { return }
                await self?.save()
            }
        }
    }

    /// Adds what was touched to the trace, once.
    func save() async {
        let saving = state.withLockedValue { state -> Task<Void, Never>? in
            if let saving = state.saving { return saving }
            guard state.hasBegun, let chunks = prefetcher.touches.recorded, !chunks.isEmpty else { return nil }
            prefetcher.touches.stopRecording()
            let saving = Task { [library, owner] in
                await library.add(ImageTrace(chunks: chunks), owner, maximumRuns: DeviceOptions.maximumRecordedRuns)
            }
            state.saving = saving
            return saving
        }
        await saving?.value
    }

    /// Ends it: what was to be fetched is given up, and what was touched is kept.
    func close() async {
        let (preparing, timer) = state.withLockedValue { ($0.preparing, $0.timer) }
        preparing?.cancel()
        timer?.cancel()
        await preparing?.value
        await save()
    }
}
