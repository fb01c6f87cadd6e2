/// How a device is opened.
public struct DeviceOptions: Sendable, Hashable {
    /// What is fetched before anybody asks for it.
    public enum Prefetch: String, Sendable, CaseIterable, Codable {
        /// The chunks that earlier runs of the image touched, in their order.
        case trace
        /// These first, then everything else in the order of the device.
        case all
        /// Nothing.
        case none
    }

    /// What is fetched before anybody asks for it, with the bandwidth that readers leave.
    public var prefetch: Prefetch
    /// Whether the order of first touches is recorded, and kept as the image's trace, for as long as that has not been
    /// done for ``maximumRecordedRuns`` runs.
    public var records: Bool
    /// For how long after the first read a run is recorded.
    package var recordingTime = Duration.seconds(60)

    /// After so many runs, a trace is good enough.
    public static let maximumRecordedRuns = 3

    /// By default, prefetch goes by the trace, and the first runs are recorded.
    public init(prefetch: Prefetch = .trace, records: Bool = true) {
        self.prefetch = prefetch
        self.records = records
    }
}
