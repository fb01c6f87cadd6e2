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

    /// The file that the next line belongs in; `nil` if it cannot be had: it is another user's, or no file.
    func ready() -> OpenFile? {
        state.withLockedValue { state in
            do throws(CacheError) {
                let status = try state.file?.status()
                let isNamed = status.map { $0.identity == FileStatus.find(path)?.identity } ?? false
                if isNamed, let status, status.size < mostBytes { return state.file }
                if isNamed {
                    try reporting("rename \(path)") { () throws(Errno) in
                        let here = Descriptor.workingDirectory
                        try here.rename(path, to: here, "\(path).1")
                    }
                }
                let file = try open()
                state.file = file
                if state.isStandardError { StandardDescriptors.replaceError(by: file.descriptor) }
                return file
            } catch {
                state.file = nil
                return nil
            }
        }
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
