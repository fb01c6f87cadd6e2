internal import CLinux
package import CacheBase
internal import Glibc

// Extended attributes, of an open file or directory or of an entry of one.
extension OpenFile {
    /// The kernel's own bound for the names of a file together, and for one value (XATTR_LIST_MAX, XATTR_SIZE_MAX).
    private static let mostBytes = 65_536

    /// The names of all extended attributes; none where the filesystem has no such thing.
    package func attributeNames() throws(CacheError) -> [FileName] {
        let names: [FileName]? = try Self.value("list the extended attributes of \(name)", nothing: .notSupported) {
            flistxattr(descriptor.rawValue, $0, $1)
        }.map { $0.split(separator: 0).map { FileName(bytes: $0) } }
        return names ?? []
    }

    /// The value of one; `nil` if it is gone.
    package func attribute(_ attribute: FileName) throws(CacheError) -> [UInt8]? {
        try Self.value(
            "read the extended attribute \(attribute) of \(name)", nothing: .noSuchAttribute
        ) { start, count in
            attribute.withCString { fgetxattr(descriptor.rawValue, $0, start, count) }
        }
    }

    /// The names of all extended attributes of an entry that cannot be opened, such as a symbolic link; none where they
    /// cannot be found out.
    package func attributeNames(ofEntry entry: FileName) -> [FileName] {
        let path = pathByProc(of: entry)
        do throws(CacheError) {
            let names = try Self.value("", nothing: .notSupported) { start, count in
                path.withCString { llistxattr($0, start, count) }
            }
            return (names ?? []).split(separator: 0).map { FileName(bytes: $0) }
        } catch {
            return []
        }
    }

    /// The value of an extended attribute of an entry that cannot be opened; `nil` if it is gone.
    package func attribute(_ attribute: FileName, ofEntry entry: FileName) throws(CacheError) -> [UInt8]? {
        let path = pathByProc(of: entry)
        return try Self.value(
            "read the extended attribute \(attribute) of \(name)/\(entry)", nothing: .noSuchAttribute
        ) { start, count in
            path.withCString { path in attribute.withCString { lgetxattr(path, $0, start, count) } }
        }
    }

    /// There is no call for attributes before Linux 6.13 that takes a directory and a name.
    private func pathByProc(of entry: FileName) -> FileName {
        entry.withCString { descriptor.pathByProc(of: $0) }
    }

    /// What a call writes into a buffer; `nil` if it fails with `nothing`.
    private static func value(
        _ what: @autoclosure () -> String, nothing: Errno, _ call: (UnsafeMutablePointer<CChar>?, Int) -> Int
    ) throws(CacheError) -> [UInt8]? {
        try withUnsafeTemporaryAllocation(of: CChar.self, capacity: mostBytes) { buffer throws(CacheError) in
            let count = call(buffer.baseAddress, buffer.count)
            if count >= 0 { return Array(UnsafeRawBufferPointer(buffer)[..<count]) }
            let error = Errno.current
            if error == nothing { return nil }
            throw CacheError.system(what(), error)
        }
    }
}

extension DirectoryPath {
    /// Whether the directory has an extended attribute; not if that cannot be found out.
    package static func hasAttribute(_ attribute: String, _ path: String) -> Bool {
        getxattr(path, attribute, nil, 0) >= 0
    }

    /// Gives the directory an extended attribute, unless it has that already.
    package static func addAttribute(_ attribute: String, _ value: String, to path: String) throws(Errno) {
        do throws(Errno) {
            try retrying { setxattr(path, attribute, value, value.utf8.count, Int32(XATTR_CREATE)) }
        } catch .alreadyExists {}
    }
}
