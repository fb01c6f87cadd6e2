internal import CLinux
internal import CacheBase
internal import Glibc

// Extended attributes of an open file or directory.
extension OpenFile {
    /// The names of all extended attributes; none where the filesystem has no such thing.
    package func attributeNames() throws -> [FileName] {
        // 64 KiB is the kernel's own bound (XATTR_LIST_MAX).
        try withUnsafeTemporaryAllocation(of: CChar.self, capacity: 65_536) { buffer in
            let count = flistxattr(descriptor, buffer.baseAddress, buffer.count)
            if count < 0 {
                if errno == ENOTSUP { return [] }
                throw CacheError.system("list the extended attributes of \(name)")
            }
            return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count])
                .split(separator: 0).map { FileName(bytes: $0) }
        }
    }

    /// The names of all extended attributes of an entry that cannot be opened, such as a symbolic link; none where they cannot be found out.
    package func attributeNames(ofEntry entry: FileName) -> [FileName] {
        let path = pathByProc(of: entry)
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 65_536) { buffer in
            let count = path.withCString { llistxattr($0, buffer.baseAddress, buffer.count) }
            guard count > 0 else { return [] }
            return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count])
                .split(separator: 0).map { FileName(bytes: $0) }
        }
    }

    /// The value of an extended attribute of an entry that cannot be opened; `nil` if it is gone.
    package func attribute(_ attribute: FileName, ofEntry entry: FileName) throws -> [UInt8]? {
        let path = pathByProc(of: entry)
        return try withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 1) { buffer in
            let count = path.withCString { path in
                attribute.withCString { lgetxattr(path, $0, buffer.baseAddress, buffer.count) }
            }
            if count < 0 {
                if errno == ENODATA { return nil }
                throw CacheError.system("read the extended attribute \(attribute) of \(name)/\(entry)")
            }
            return Array(buffer[..<count])
        }
    }

    /// There is no call for attributes before Linux 6.13 that takes a directory and a name.
    private func pathByProc(of entry: FileName) -> FileName {
        FileName(bytes: Array("/proc/self/fd/\(descriptor)/".utf8) + entry.bytes)
    }

    /// The value of one; `nil` if it is gone.
    package func attribute(_ attribute: FileName) throws -> [UInt8]? {
        try withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 1) { buffer in
            let count = attribute.withCString { fgetxattr(descriptor, $0, buffer.baseAddress, buffer.count) }
            if count < 0 {
                if errno == ENODATA { return nil }
                throw CacheError.system("read the extended attribute \(attribute) of \(name)")
            }
            return Array(buffer[..<count])
        }
    }

    /// Sets one; `false` where the filesystem or our rights do not allow it.
    package func setAttribute(_ attribute: FileName, _ value: UnsafeRawBufferPointer) throws -> Bool {
        let result = attribute.withCString { fsetxattr(descriptor, $0, value.baseAddress, value.count, 0) }
        if result == 0 { return true }
        if errno == EPERM || errno == ENOTSUP { return false }
        throw CacheError.system("set the extended attribute \(attribute) of \(name)")
    }
}
