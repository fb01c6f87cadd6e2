internal import CLinux
internal import CacheFiles

extension FuseChannel {
    /// What is told to the kernel without having been asked.
    enum Notification {
        /// Requests that were read and not answered are to be sent again.
        case resend
        /// Nothing in the root directory has this name any more.
        case invalidEntry(FileName)
    }

    /// Must not be called by a thread that answers requests: the kernel may wait for an answer before it takes it.
    func notify(_ notification: Notification) throws(Errno) {
        switch notification {
        case .resend:
            try notify(Self.resendCode, [])
        case .invalidEntry(let name):
            var body = fuse_notify_inval_entry_out()
            body.parent = FuseLimits.rootNumber
            body.namelen = UInt32(name.bytes.count)
            try withUnsafeBytes(of: body) { body throws(Errno) in
                // The kernel counts the zero byte at the end of the name, too.
                try name.withCString { text throws(Errno) in
                    let text = UnsafeRawBufferPointer(start: text, count: name.bytes.count + 1)
                    try notify(Int32(FUSE_NOTIFY_INVAL_ENTRY.rawValue), [body, text])
                }
            }
        }
    }

    /// FUSE_NOTIFY_RESEND, of later headers than 7.38.
    private static let resendCode: Int32 = 7

    private func notify(_ code: Int32, _ body: [UnsafeRawBufferPointer]) throws(Errno) {
        var header = fuse_out_header()
        header.error = code
        header.len = UInt32(body.reduce(MemoryLayout<fuse_out_header>.size) { $0 + $1.count })
        try withUnsafeBytes(of: header) { header throws(Errno) in
            try ([header] + body).withUnsafeBufferPointer { pieces throws(Errno) in
                _ = try file.descriptor.write(gathering: pieces)
            }
        }
    }
}
