internal import Glibc
package import Logging

/// Logs to a ``LineSink``: time, level, label, metadata, source and message in one line, and never waits for its
/// reader.
package struct LineLogHandler: LogHandler {
    package var logLevel: Logger.Level {
        get { threshold.level }
        // A copy that wants another level is on its own from then on.
        set { threshold = LogThreshold(newValue) }
    }
    private var threshold: LogThreshold
    package var metadata = Logger.Metadata()
    package var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private let sink: LineSink

    package init(label: String, sink: LineSink, threshold: LogThreshold = LogThreshold(.info)) {
        self.threshold = threshold
        self.label = label
        self.sink = sink
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var fields = metadata
        if let provided = metadataProvider?.get() { fields.merge(provided) { $1 } }
        if let own = event.metadata { fields.merge(own) { $1 } }
        if let error = event.error { fields["error"] = "\(error)" }
        let pairs = fields.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        sink.write(Self.oneLine("\(Self.now()) \(event.level) \(label):\(pairs) [\(event.source)] \(event.message)"))
    }

    /// Metadata may hold what others chose: it must neither begin a line of its own nor command a terminal.
    private static func oneLine(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.map { isControl($0) ? " " : $0 }))
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || [0x2028, 0x2029].contains(scalar.value)
    }

    private static func now() -> String {
        var seconds = time(nil)
        var parts = tm()
        localtime_r(&seconds, &parts)
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
            guard let start = buffer.baseAddress, strftime(start, buffer.count, "%Y-%m-%dT%H:%M:%S%z", &parts) > 0
            else { return "-" }
            return String(cString: start)
        }
    }
}
