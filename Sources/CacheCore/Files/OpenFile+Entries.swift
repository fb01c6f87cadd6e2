internal import CacheBase
package import Glibc

/// A file name or path as the kernel has it: bytes, whatever their encoding.
package struct FileName: Hashable, Sendable {
    package let bytes: [UInt8]

    package init(bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }
    package init(_ text: some StringProtocol) { bytes = Array(text.utf8) }

    /// A C string of the name; it must hold no zero byte.
    package func withCString<Result, Failure: Error>(
        _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeTemporaryAllocation(of: CChar.self, capacity: bytes.count + 1) { copy throws(Failure) in
            for index in bytes.indices { copy[index] = CChar(bitPattern: bytes[index]) }
            copy[bytes.count] = 0
            return try body(UnsafePointer(copy.baseAddress.unsafelyUnwrapped))
        }
    }
}

extension FileName: CustomStringConvertible {
    package var description: String { String(decoding: bytes, as: UTF8.self) }
}

extension FileName: Comparable {
    /// Byte order, the same under every locale.
    package static func < (left: FileName, right: FileName) -> Bool {
        let order = memcmp(left.bytes, right.bytes, min(left.bytes.count, right.bytes.count))
        return order != 0 ? order < 0 : left.bytes.count < right.bytes.count
    }
}

// What is done to the entries of an open directory. Nothing here follows a symbolic link.
extension OpenFile {
    package func openEntry(_ entry: FileName, _ flags: Int32) throws -> OpenFile {
        let path = "\(name)/\(entry)"
        let descriptor = try retryingInterrupts("open \(path)") {
            entry.withCString { openat(self.descriptor, $0, flags | O_NOFOLLOW | O_CLOEXEC) }
        }
        return OpenFile(adopting: descriptor, name: path)
    }

    /// What `entry` is; `nil` if there is none.
    package func statusOfEntry(_ entry: FileName) throws -> stat? {
        var status = stat()
        let result = entry.withCString { fstatat(descriptor, $0, &status, AT_SYMLINK_NOFOLLOW) }
        if result == 0 { return status }
        if errno == ENOENT { return nil }
        throw CacheError.system("stat \(name)/\(entry)")
    }

    /// Where the symbolic link `entry` points to.
    package func linkTarget(of entry: FileName) throws -> FileName {
        let buffer = UnsafeMutablePointer<CChar>.allocate(capacity: Int(PATH_MAX))
        defer { buffer.deallocate() }
        let count = try retryingInterrupts("read the link \(name)/\(entry)") {
            entry.withCString { readlinkat(descriptor, $0, buffer, Int(PATH_MAX)) }
        }
        return FileName(bytes: UnsafeRawBufferPointer(start: buffer, count: count))
    }

    /// The names of all entries, in no order.
    package func entryNames(atMost limit: Int) throws -> [FileName] {
        var names: [FileName] = []
        try forEachEntry { entry, _ in
            guard names.count < limit else {
                throw Limit.directoryEntries.exceeded("\(name) has more than \(limit) entries")
            }
            names.append(entry)
            return true
        }
        return names
    }

    /// The names of all entries that are directories, in no order.
    package func directoryNames() throws -> [FileName] {
        var names: [FileName] = []
        try forEachEntry { entry, type in
            // Not every filesystem says what an entry is.
            if type == UInt8(DT_UNKNOWN) {
                guard let status = try statusOfEntry(entry), status.st_mode & S_IFMT == S_IFDIR else { return true }
            } else if type != UInt8(DT_DIR) {
                return true
            }
            names.append(entry)
            return true
        }
        return names
    }

    package func isEmpty() throws -> Bool {
        var isEmpty = true
        try forEachEntry { _, _ in
            isEmpty = false
            return false
        }
        return isEmpty
    }

    /// Hands each entry with its `d_type` to `body`, in no order, until that returns `false`.
    package func forEachEntry(_ body: (FileName, UInt8) throws -> Bool) throws {
        let again = try openEntry(FileName("."), O_RDONLY | O_DIRECTORY)
        let copy = try retryingInterrupts("list \(name)") { fcntl(again.descriptor, F_DUPFD_CLOEXEC, 0) }
        guard let stream = fdopendir(copy) else {
            close(copy)
            throw CacheError.system("list \(name)")
        }
        defer { closedir(stream) }
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw CacheError.system("list \(name)") }
                return
            }
            let entryName = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: UInt8.self, capacity: 256) { bytes in
                    FileName(bytes: UnsafeBufferPointer(start: bytes, count: strlen(pointer)))
                }
            }
            if entryName.bytes == [UInt8(ascii: ".")] || entryName.bytes == Array("..".utf8) { continue }
            if try !body(entryName, entry.pointee.d_type) { return }
        }
    }

    /// Directories inside one another that are open while one is removed; a deeper one is moved up first.
    private static let mostOpenToRemove = 32

    /// Removes `entry`, with all that is in it if it is a directory, however deep.
    package func removeEntry(_ entry: FileName) throws {
        var pending = [entry]
        while let next = pending.popLast() { try removeEntry(next, of: self, level: 0, &pending) }
    }

    /// - Parameter pending: names of this directory under which something was put that is yet to be removed.
    private func removeEntry(
        _ entry: FileName, of directory: OpenFile, level: Int, _ pending: inout [FileName]
    ) throws {
        if entry.withCString({ unlinkat(directory.descriptor, $0, 0) }) == 0 { return }
        let number = errno
        if number == ENOENT { return }
        // Linux says EISDIR for a directory, POSIX EPERM.
        guard number == EISDIR || number == EPERM else {
            throw CacheError.system("remove \(directory.name)/\(entry)", number)
        }
        if level == Self.mostOpenToRemove {
            let name = FileName(TemporaryName.unique(TemporaryName.insidePrefix))
            try retryingInterrupts("move \(directory.name)/\(entry)") {
                entry.withCString { old in
                    name.withCString { renameat(directory.descriptor, old, descriptor, $0) }
                }
            }
            pending.append(name)
            return
        }
        let child = try directory.openEntry(entry, O_RDONLY | O_DIRECTORY)
        for name in try child.entryNames(atMost: Int.max) {
            try removeEntry(name, of: child, level: level + 1, &pending)
        }
        try retryingInterrupts("remove \(directory.name)/\(entry)") {
            entry.withCString { unlinkat(directory.descriptor, $0, AT_REMOVEDIR) }
        }
    }

    /// Removes everything in this directory.
    package func removeContents() throws {
        for entry in try entryNames(atMost: Int.max) { try removeEntry(entry) }
    }
}
