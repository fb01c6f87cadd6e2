package import CacheBase
import Glibc

extension CacheError {
    /// The failure of the system call that has just returned, with `errno` in words.
    ///
    /// - Parameters:
    ///   - what: the action and its object, e.g. `"open /var/cache/data.mdb"`.
    ///   - number: `errno`, read at once if it is not given.
    package static func system(_ what: String, _ number: Int32 = errno) -> CacheError {
        CacheError(.io, "\(what): \(String(cString: strerror(number)))")
    }
}

/// Runs a system call again for as long as a signal interrupts it; returns its value, or throws with `errno` in words.
@discardableResult
package func retryingInterrupts<Result: SignedInteger>(
    _ what: @autoclosure () -> String, _ call: () -> Result
) throws -> Result {
    while true {
        let result = call()
        if result != -1 { return result }
        let number = errno
        if number != EINTR { throw CacheError.system(what(), number) }
    }
}
