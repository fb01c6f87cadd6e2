internal import CLinux
internal import CacheFiles

/// One request of the kernel, taken apart: a pure function of its bytes, which are not trusted to be whole.
///
/// The layout is that of `linux/fuse.h`: a header, then what belongs to the operation.
struct FuseRequest: Equatable {
    /// What the answer repeats. The top bit says that the request is sent again, to who took over a connection.
    let unique: UInt64
    /// The file or directory that is meant.
    let number: UInt64
    /// The thread that waits for the answer, as the PID namespace of the mount numbers it; 0 for none.
    let thread: UInt32
    let operation: Operation

    enum Operation: Equatable {
        case initialize(FuseOffer)
        case lookUp(FileName)
        case attributes
        case open
        case read(offset: UInt64, count: Int)
        case openDirectory
        case readDirectory(after: UInt64, count: Int)
        case statistics
        case seek(offset: UInt64, Sought)
        /// Asks whether something may be done; `isWrite` if that would change the filesystem.
        case access(isWrite: Bool)
        /// The thread that waits for the answer to another request was sent a signal.
        case interrupt(unique: UInt64)
        /// Answered with success: there is nothing to do.
        case accepted
        /// Wants no answer.
        case silent
        /// Nothing that is done here.
        case refused(Errno)
    }

    enum Sought: Equatable {
        case data
        case hole
    }

    /// - Returns: `nil` for what is too short to be answered.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard let header = bytes.value(at: 0, as: fuse_in_header.self) else { return nil }
        unique = header.unique
        number = header.nodeid
        thread = header.pid
        // Extensions lie at the end; none is asked for.
        guard Int(header.len) == bytes.count else {
            operation = .refused(.badArgument)
            return
        }
        let body = UnsafeRawBufferPointer(rebasing: bytes[MemoryLayout<fuse_in_header>.size...])
        operation = Self.operation(fuse_opcode(header.opcode), body) ?? .refused(.badArgument)
    }

    /// `nil` for a body that is too short.
    private static func operation(_ code: fuse_opcode, _ body: UnsafeRawBufferPointer) -> Operation? {
        switch code {
        case FUSE_READ:
            body.value(at: 0, as: fuse_read_in.self).map { .read(offset: $0.offset, count: Int($0.size)) }
        case FUSE_INIT:
            FuseOffer(body).map { .initialize($0) }
        case FUSE_LOOKUP:
            name(body).map { .lookUp($0) }
        case FUSE_GETATTR:
            .attributes
        case FUSE_OPEN:
            body.value(at: 0, as: fuse_open_in.self).map { opening($0.flags) }
        case FUSE_OPENDIR:
            .openDirectory
        case FUSE_READDIR:
            body.value(at: 0, as: fuse_read_in.self).map { .readDirectory(after: $0.offset, count: Int($0.size)) }
        case FUSE_STATFS:
            .statistics
        case FUSE_LSEEK:
            body.value(at: 0, as: fuse_lseek_in.self).map { seek($0) }
        case FUSE_ACCESS:
            body.value(at: 0, as: fuse_access_in.self).map { .access(isWrite: $0.mask & accessWrite != 0) }
        case FUSE_INTERRUPT:
            body.value(at: 0, as: fuse_interrupt_in.self).map { .interrupt(unique: $0.unique) }
        case FUSE_FLUSH, FUSE_RELEASE, FUSE_RELEASEDIR, FUSE_FSYNC, FUSE_FSYNCDIR, FUSE_DESTROY:
            .accepted
        case FUSE_FORGET, FUSE_BATCH_FORGET, FUSE_NOTIFY_REPLY:
            .silent
        case FUSE_SETATTR, FUSE_SYMLINK, FUSE_MKNOD, FUSE_MKDIR, FUSE_UNLINK, FUSE_RMDIR, FUSE_RENAME, FUSE_RENAME2,
            FUSE_LINK, FUSE_WRITE, FUSE_SETXATTR, FUSE_REMOVEXATTR, FUSE_CREATE, FUSE_FALLOCATE, FUSE_TMPFILE:
            .refused(.readOnlyFilesystem)
        default:
            .refused(.noFunction)
        }
    }

    /// A name ends with a zero byte; nothing follows it.
    private static func name(_ body: UnsafeRawBufferPointer) -> FileName? {
        guard let end = body.firstIndex(of: 0), end + 1 == body.count, end > 0 else { return nil }
        return FileName(bytes: body[..<end])
    }

    /// O_ACCMODE and W_OK of Linux, which no header of CLinux has.
    private static let accessModes: UInt32 = 3
    private static let accessWrite: UInt32 = 2

    private static func opening(_ flags: UInt32) -> Operation {
        flags & accessModes == 0 ? .open : .refused(.readOnlyFilesystem)
    }

    private static func seek(_ seek: fuse_lseek_in) -> Operation {
        switch seek.whence {
        case 3: .seek(offset: seek.offset, .data)
        case 4: .seek(offset: seek.offset, .hole)
        default: .refused(.badArgument)
        }
    }
}

extension UnsafeRawBufferPointer {
    /// A value of a C structure, wherever it lies; `nil` if that is not all in here.
    func value<Value: BitwiseCopyable>(at offset: Int, as type: Value.Type) -> Value? {
        guard count - offset >= MemoryLayout<Value>.size else { return nil }
        return loadUnaligned(fromByteOffset: offset, as: type)
    }
}
