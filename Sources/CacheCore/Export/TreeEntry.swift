internal import CArchive
internal import Glibc

/// One entry of a layer's tar, checked: what an extraction needs of it.
struct TreeEntry {
    let path: FileName
    /// Never with `.` or `..`; empty for the root itself.
    let components: [FileName]
    /// For a hard link, the path that it is another name of.
    let hardLink: FileName?
    let symbolicLink: FileName?
    let type: mode_t
    let mode: mode_t
    let userID: uid_t
    let groupID: gid_t
    let size: Int
    let modified: timespec
    let device: dev_t
    let attributes: [(name: FileName, value: [UInt8])]
    let hasAccessList: Bool

    /// Takes the current entry of `reader`.
    init(_ reader: ArchiveReader, header: OpaquePointer, limits: ImportLimits) throws {
        guard let path = reader.path, !path.bytes.isEmpty else {
            throw CacheError(.invalidInput, "\(reader.name) has an entry without a name")
        }
        self.path = path
        components = try Self.checked(path, of: reader.name, limits: limits)
        hardLink = reader.hardLink
        symbolicLink = reader.symbolicLink
        type = archive_entry_filetype(header)
        mode = archive_entry_perm(header) & 0o7777
        userID = TarNumber.owner(archive_entry_uid(header))
        groupID = TarNumber.owner(archive_entry_gid(header))
        size = Int(archive_entry_size(header))
        guard size >= 0, size <= limits.layerBytes else {
            throw CacheError(
                .limitExceeded,
                "\(reader.name): '\(path)' has \(size) bytes, more than the limit of \(limits.layerBytes)")
        }
        modified = reader.modified
        device = archive_entry_rdev(header)
        var attributes: [(name: FileName, value: [UInt8])] = []
        archive_entry_xattr_reset(header)
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var count = 0
        while archive_entry_xattr_next(header, &name, &value, &count) == ARCHIVE_OK {
            guard let name else { continue }
            attributes.append(
                (FileName(String(cString: name)), Array(UnsafeRawBufferPointer(start: value, count: count))))
        }
        self.attributes = attributes
        let lists = ARCHIVE_ENTRY_ACL_TYPE_ACCESS | ARCHIVE_ENTRY_ACL_TYPE_DEFAULT
        hasAccessList = archive_entry_acl_reset(header, lists) > 0
    }

    /// The names of a path that stays inside; an absolute one counts from the root of the image.
    static func checked(_ path: FileName, of layer: String, limits: ImportLimits) throws -> [FileName] {
        guard path.bytes.count <= limits.pathBytes else {
            throw CacheError(
                .limitExceeded,
                "\(layer) has a path of \(path.bytes.count) bytes, more than the limit of \(limits.pathBytes)")
        }
        let components = RootedTree.components(path)
        guard !components.contains(where: { $0.bytes.elementsEqual("..".utf8) }) else {
            throw CacheError(.invalidInput, "\(layer) has a path that leads out of it: '\(path)'")
        }
        return components
    }
}
