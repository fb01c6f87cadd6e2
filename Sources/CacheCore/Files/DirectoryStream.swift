internal import CacheBase
internal import Glibc

/// The names in a directory, as the system gives them.
package enum DirectoryEntries {
    package struct Entry {
        package let name: String
        package let kind: FileStatus.Kind
    }

    /// All entries but `.` and `..`, in no order; those whose name is no UTF-8 are left out. Memory grows with their number.
    package static func read(_ directory: OwnedDescriptor) throws -> [Entry] {
        // A description of its own, because the place that has been read to belongs to the description.
        let number = openat(directory.number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { throw CacheError.system("open a directory to list it") }
        guard let stream = fdopendir(number) else {
            let error = CacheError.system("list a directory")
            close(number)
            throw error
        }
        defer { closedir(stream) }
        var entries: [Entry] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw CacheError.system("list a directory") }
                return entries
            }
            let offset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 0
            let bytes = UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: CChar.self)
            guard let name = String(validatingCString: bytes), name != ".", name != ".." else { continue }
            if let kind = kind(of: name, type: Int(entry.pointee.d_type), in: directory) {
                entries.append(Entry(name: name, kind: kind))
            }
        }
    }

    /// `nil` if the file is gone by now.
    private static func kind(of name: String, type: Int, in directory: OwnedDescriptor) -> FileStatus.Kind? {
        switch type {
        case Int(DT_REG): .regular
        case Int(DT_DIR): .directory
        case Int(DT_UNKNOWN): FileStatus(of: name, in: directory)?.kind
        default: .other
        }
    }
}
