internal import CLinux
internal import CacheFiles
internal import NIOCore

/// One descriptor of the connection, and how what was read from it is answered.
///
/// An answer that the kernel does not want any more is dropped: the request was cut off, was sent again under another
/// number, or the filesystem is gone. Each is one system call, which copies the bytes to where the reader wants them.
struct FuseChannel: Sendable {
    let file: OpenFile

    /// An answer without content: success, or an error.
    func answer(_ unique: UInt64, _ error: Errno?) {
        write(unique, error, [])
    }

    /// An answer of one C structure.
    func answer<Body: BitwiseCopyable>(_ unique: UInt64, with body: Body) {
        withUnsafeBytes(of: body) { write(unique, nil, [$0]) }
    }

    /// An answer of bytes that a caller has.
    func answer(_ unique: UInt64, bytes: UnsafeRawBufferPointer) {
        write(unique, nil, [bytes])
    }

    /// An answer of bytes that lie in several buffers, straight from their memory.
    func answer(_ unique: UInt64, with buffers: [ByteBuffer]) {
        guard buffers.count < Descriptor.mostPieces else {
            var whole = ByteBuffer()
            for buffer in buffers { whole.writeImmutableBuffer(buffer) }
            return whole.withUnsafeReadableBytes { write(unique, nil, [$0]) }
        }
        withUnsafeTemporaryAllocation(of: UnsafeRawBufferPointer.self, capacity: buffers.count) { pieces in
            for (index, buffer) in buffers.enumerated() {
                // The pointers stay valid for as long as the buffers' memory, which `buffers` holds.
                buffer.withUnsafeReadableBytesWithStorageManagement { bytes, _ in
                    pieces.initializeElement(at: index, to: bytes)
                }
            }
            withExtendedLifetime(buffers) { write(unique, nil, UnsafeBufferPointer(pieces)) }
        }
    }

    private func write(
        _ unique: UInt64, _ error: Errno?, _ body: some Collection<UnsafeRawBufferPointer>
    ) {
        var header = fuse_out_header()
        header.unique = unique
        header.error = -(error?.rawValue ?? 0)
        header.len = UInt32(body.reduce(MemoryLayout<fuse_out_header>.size) { $0 + $1.count })
        do throws(Errno) {
            try withUnsafeBytes(of: header) { header throws(Errno) in
                try withUnsafeTemporaryAllocation(
                    of: UnsafeRawBufferPointer.self, capacity: body.count + 1
                ) { pieces throws(Errno) in
                    pieces.initializeElement(at: 0, to: header)
                    for (index, piece) in body.enumerated() { pieces.initializeElement(at: index + 1, to: piece) }
                    _ = try file.descriptor.write(gathering: UnsafeBufferPointer(pieces))
                }
            }
        } catch .noSuchFile {
        } catch .noDevice {
        } catch .connectionAborted {
        } catch {
            // The kernel took the request back, or could not take the bytes, and has ended it with an error; where it
            // has not, the reader must not wait for ever.
            if header.error == 0 { write(unique, .ioError, []) }
        }
    }
}
