internal import CacheBase
internal import NIOConcurrencyHelpers

/// A log of bounded size, in a file for its owner alone: one that is full becomes `PATH.1`, in the place of the one
/// before, and the next line begins a new one.
///
/// Several processes may write to it, each whole lines, and none waits for another: of two that find it full at the
/// same moment, one may put away what the other has just begun.
package final class LogFile: Sendable {
    private struct State {
        var file: OpenFile?
        var isStandardError = false
    }

    package let path: String
    private let mostBytes: Int
    private let state = NIOLockedValueBox(State())

    /// Opens nothing yet: the first line makes the file.
    ///
    /// - Parameter mostBytes: of one of the two files, and a line.
    package init(_ path: String, mostBytes: Int = 1 << 20) {
        self.path = path
        self.mostBytes = mostBytes
    }

    /// What this process writes to standard error goes here as well from now on: what Swift says of a crash, for one.
    package func takeStandardError() {
        state.withLockedValue { $0.isStandardError = true }
        guard let file = ready() else { return }
        StandardDescriptors.replaceError(by: file.descriptor)
    }

    /// The file that the next line belongs in; `nil` if it cannot be had: it is another user's or no file, or is full
    /// and cannot be put aside.
    func ready() -> OpenFile? {
        state.withLockedValue { state in
            do throws(CacheError) {
                if try !isNamed(state.file) { try begin(&state) }
                if let file = state.file, try file.status().size >= mostBytes {
                    try reporting("rename \(path)") { () throws(Errno) in
                        let here = Descriptor.workingDirectory
                        try here.rename(path, to: here, "\(path).1")
                    }
                    try begin(&state)
                }
                return state.file
            } catch {
                return nil
            }
        }
    }

    /// Whether it has the path still: others may have removed it, or put it aside.
    private func isNamed(_ file: OpenFile?) throws(CacheError) -> Bool {
        guard let file else { return false }
        return try file.status().identity == FileStatus.find(path)?.identity
    }

    private func begin(_ state: inout State) throws(CacheError) {
        let file = try open()
        state.file = file
        if state.isStandardError { StandardDescriptors.replaceError(by: file.descriptor) }
    }

    /// Its directory may be one that others write to.
    private func open() throws(CacheError) -> OpenFile {
        let file = try OpenFile.open(
            path, [.writeOnly, .create, .append, .noFollow, .nonBlocking], mode: 0o600)
        let status = try file.status()
        guard status.kind == .regular, status.userID == CurrentProcess.user else {
            throw CacheError(.invalidInput, "\(path) is no file of this user")
        }
        return file
    }
}
