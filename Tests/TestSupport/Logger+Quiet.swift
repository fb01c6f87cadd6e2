package import Logging

extension Logger {
    /// A logger that drops everything.
    package static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}
