internal import CacheClient
internal import CacheCore
internal import CacheFiles

/// What one thread does: reads requests, one after the other, and answers those that need no wait.
final class FuseLoop: Sendable {
    private let channel: FuseChannel
    private let wait: WakeableWait
    private let filesystem: FuseFilesystem

    init(channel: FuseChannel, wakeup: Wakeup, filesystem: FuseFilesystem) throws(CacheError) {
        self.channel = channel
        self.filesystem = filesystem
        wait = try reporting("wait for requests of FUSE") { () throws(Errno) in
            try WakeableWait(for: channel.file, until: wakeup)
        }
    }

    /// Returns when the filesystem is stopped or unmounted.
    func run() {
        withUnsafeTemporaryAllocation(byteCount: FuseLimits.requestBytes, alignment: 8) { buffer in
            do throws(Errno) {
                while true {
                    do throws(Errno) {
                        let count = try channel.file.descriptor.read(into: buffer)
                        if let request = FuseRequest(UnsafeRawBufferPointer(rebasing: buffer[..<count])) {
                            filesystem.handle(request, channel)
                        }
                    } catch .wouldBlock {
                        if try !wait.wait() { return }
                    } catch .noSuchFile {
                        // The request was cut off before it could be read.
                    }
                    if filesystem.isEnded { return }
                }
            } catch .noDevice {
                filesystem.end(nil)
            } catch .connectionAborted {
                filesystem.end("the connection was cut")
            } catch {
                filesystem.end("requests cannot be read: \(error)")
            }
        }
    }
}
