internal import CLinux
internal import CacheFiles

// What the kernel is told of the directory and its files, in the structures of `linux/fuse.h`.
extension FuseDirectory {
    /// What the root or a file is like; `nil` for a number that nothing has.
    func attributes(of number: UInt64) -> fuse_attr_out? {
        var answer = fuse_attr_out()
        answer.attr_valid = FuseLimits.validSeconds
        if number == FuseLimits.rootNumber {
            answer.attr = Self.attributes(number, mode: FileStatus.Kind.directory.rawValue | 0o500, links: 2, bytes: 0)
        } else if let entry = self[number] {
            answer.attr = Self.attributes(of: entry)
        } else {
            return nil
        }
        return answer
    }

    /// The answer to LOOKUP; `nil` for a name that nothing has.
    func lookUp(_ name: FileName) -> fuse_entry_out? {
        guard let entry = entry(named: name) else { return nil }
        var answer = fuse_entry_out()
        answer.nodeid = entry.number
        answer.entry_valid = FuseLimits.validSeconds
        answer.attr_valid = FuseLimits.validSeconds
        answer.attr = Self.attributes(of: entry)
        return answer
    }

    /// The answer to OPEN: reads go past the page cache of the file, because who reads it keeps the bytes in one of its
    /// own; pages that the kernel has of it all the same (EROFS' metadata) outlive the next opening.
    static var opened: fuse_open_out {
        var answer = fuse_open_out()
        answer.open_flags = UInt32(FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE | FOPEN_NOFLUSH)
        return answer
    }

    func statistics() -> fuse_statfs_out {
        var answer = fuse_statfs_out()
        answer.st.blocks = byteCount / 4096
        answer.st.files = UInt64(count) + 1
        answer.st.bsize = 4096
        answer.st.frsize = 4096
        answer.st.namelen = 255
        return answer
    }

    /// Entries as READDIR wants them: those after the place `place`, as many as fit into `limit` bytes. The place of an
    /// entry does not depend on those before it, so that nothing is left out when one of them goes.
    func list(after place: UInt64, atMost limit: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        let root = FuseLimits.rootNumber
        let dots = [(FileName("."), root, UInt64(1)), (FileName(".."), root, UInt64(2))]
        for (name, number, ownPlace) in dots + all.map({ ($0.name, $0.number, $0.number + 1) }) where ownPlace > place {
            var entry = fuse_dirent()
            entry.ino = number
            entry.off = ownPlace
            entry.namelen = UInt32(name.bytes.count)
            // DT_DIR and DT_REG are the file's kind, as in its mode, without the permissions.
            entry.type = (number == root ? FileStatus.Kind.directory : .regular).rawValue >> 12
            let size = (MemoryLayout<fuse_dirent>.size + name.bytes.count + 7) & ~7
            guard bytes.count + size <= limit else { break }
            let end = bytes.count + size
            withUnsafeBytes(of: entry) { bytes.append(contentsOf: $0) }
            bytes.append(contentsOf: name.bytes)
            bytes.append(contentsOf: repeatElement(0, count: end - bytes.count))
        }
        return bytes
    }

    private static func attributes(of entry: Entry) -> fuse_attr {
        attributes(entry.number, mode: FileStatus.Kind.regular.rawValue | 0o400, links: 1, bytes: entry.byteCount)
    }

    private static func attributes(_ number: UInt64, mode: UInt32, links: UInt32, bytes: UInt64) -> fuse_attr {
        var attributes = fuse_attr()
        attributes.ino = number
        attributes.size = bytes
        attributes.blocks = bytes / 512
        attributes.mode = mode
        attributes.nlink = links
        attributes.blksize = 4096
        return attributes
    }
}
