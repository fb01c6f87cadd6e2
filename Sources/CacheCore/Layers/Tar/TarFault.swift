internal import CacheBase

/// What is wrong with a tar; the reader adds the entry and the place.
struct TarFault: Error {
    let code: CacheError.Code
    /// The way out included, if there is one.
    let what: String

    init(_ what: String) {
        code = .invalidInput
        self.what = what
    }

    /// The archive may be right, but asks for more than a push takes.
    init(beyond limit: Limit, _ what: String) {
        code = .limitExceeded
        self.what = "\(what): \(limit.advice)"
    }
}
