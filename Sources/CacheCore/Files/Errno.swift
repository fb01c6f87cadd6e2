package import CacheBase
internal import Glibc

/// The number of the error with which a system call failed, `errno(3)`.
///
/// What the calls of ``Descriptor`` throw: it costs no memory, and a caller can tell one failure from another. What
/// leaves a room is a ``CacheError`` with words, see ``reporting(_:_:)``.
package struct Errno: Error, Hashable, Sendable {
    package let rawValue: Int32

    package init(rawValue: Int32) { self.rawValue = rawValue }

    /// Of the call that has just failed on this thread; to be asked for before any other call.
    package static var current: Errno { Errno(rawValue: errno) }

    package static var alreadyExists: Errno { Errno(rawValue: EEXIST) }
    package static var badArgument: Errno { Errno(rawValue: EINVAL) }
    package static var blockDeviceNeeded: Errno { Errno(rawValue: ENOTBLK) }
    package static var brokenPipe: Errno { Errno(rawValue: EPIPE) }
    package static var busy: Errno { Errno(rawValue: EBUSY) }
    package static var connectionRefused: Errno { Errno(rawValue: ECONNREFUSED) }
    package static var connectionAborted: Errno { Errno(rawValue: ECONNABORTED) }
    package static var connectionReset: Errno { Errno(rawValue: ECONNRESET) }
    package static var directoryNotEmpty: Errno { Errno(rawValue: ENOTEMPTY) }
    package static var diskQuotaExceeded: Errno { Errno(rawValue: EDQUOT) }
    package static var fileTooLarge: Errno { Errno(rawValue: EFBIG) }
    package static var interrupted: Errno { Errno(rawValue: EINTR) }
    package static var ioError: Errno { Errno(rawValue: EIO) }
    package static var nameTooLong: Errno { Errno(rawValue: ENAMETOOLONG) }
    package static var noDevice: Errno { Errno(rawValue: ENODEV) }
    package static var noDeviceOrAddress: Errno { Errno(rawValue: ENXIO) }
    package static var noFunction: Errno { Errno(rawValue: ENOSYS) }
    package static var noSpace: Errno { Errno(rawValue: ENOSPC) }
    package static var noSuchAttribute: Errno { Errno(rawValue: ENODATA) }
    package static var noSuchFile: Errno { Errno(rawValue: ENOENT) }
    package static var notConnected: Errno { Errno(rawValue: ENOTCONN) }
    package static var notDirectory: Errno { Errno(rawValue: ENOTDIR) }
    package static var notPermitted: Errno { Errno(rawValue: EPERM) }
    package static var notSupported: Errno { Errno(rawValue: ENOTSUP) }
    package static var isDirectory: Errno { Errno(rawValue: EISDIR) }
    package static var listTooLong: Errno { Errno(rawValue: E2BIG) }
    package static var outOfRange: Errno { Errno(rawValue: ERANGE) }
    package static var permissionDenied: Errno { Errno(rawValue: EACCES) }
    package static var protocolError: Errno { Errno(rawValue: EPROTO) }
    package static var readOnlyFilesystem: Errno { Errno(rawValue: EROFS) }
    package static var staleHandle: Errno { Errno(rawValue: ESTALE) }
    package static var symbolicLink: Errno { Errno(rawValue: ELOOP) }
    package static var tooManyOpenFiles: Errno { Errno(rawValue: EMFILE) }
    package static var tooManyOpenFilesInSystem: Errno { Errno(rawValue: ENFILE) }
    package static var wouldBlock: Errno { Errno(rawValue: EAGAIN) }
}

extension Errno: CustomStringConvertible {
    /// The system's words for it, such as `No such file or directory`.
    package var description: String { String(cString: strerror(rawValue)) }
}

extension CacheError {
    /// `.io`: a system call that failed.
    ///
    /// - Parameters:
    ///   - what: the action and its object, e.g. `"open /var/cache/data.mdb"`.
    ///   - error: why it failed; the message ends with the system's words for it.
    package static func system(_ what: String, _ error: Errno) -> CacheError {
        CacheError(.io, "\(what): \(error)")
    }
}

/// Runs system calls, and turns the ``Errno`` of one that fails into a ``CacheError`` `.io`.
///
/// - Parameter what: the action and its object, as in ``CacheError/system(_:_:)``; made only after a failure.
@discardableResult
package func reporting<Result: ~Copyable>(
    _ what: @autoclosure () -> String, _ calls: () throws(Errno) -> Result
) throws(CacheError) -> Result {
    do throws(Errno) {
        return try calls()
    } catch {
        throw CacheError.system(what(), error)
    }
}

/// Runs a system call again for as long as a signal interrupts it; returns its value, which is -1 only if it failed.
@discardableResult
@inline(__always)
func retrying<Result: SignedInteger>(_ call: () -> Result) throws(Errno) -> Result {
    while true {
        let result = call()
        if result != -1 { return result }
        let number = errno
        if number != EINTR { throw Errno(rawValue: number) }
    }
}
