internal import CacheLayers

/// An inode of 64 bytes, the form that keeps times, large owners and large sizes.
struct ErofsInode {
    var layout = ErofsFormat.DataLayout.plain
    /// The first block, the numbers of a device, or how large the chunks are.
    var place: UInt32 = 0
    var size: UInt64 = 0
    var linkCount: UInt32 = 1
    let slot: UInt32

    init(slot: UInt32) { self.slot = slot }

    /// Appends it.
    /// - Parameter attributes: how many bytes its attributes have, which follow it.
    func append(_ inode: ImageTree.Inode, attributes: Int, to bytes: inout [UInt8]) {
        bytes.append(number: layout.rawValue << 1 | 1)
        bytes.append(number: ErofsAttributes.wordCount(attributes))
        bytes.append(number: Self.mode(of: inode))
        bytes.append(number: UInt16(0))
        bytes.append(number: size)
        bytes.append(number: place)
        // Its number for programs that know 32 bits alone.
        bytes.append(number: slot)
        bytes.append(number: inode.uid)
        bytes.append(number: inode.gid)
        bytes.append(number: inode.modificationTime.seconds)
        bytes.append(number: inode.modificationTime.nanoseconds)
        bytes.append(number: linkCount)
        bytes.append(number: UInt64(0))
        bytes.append(number: UInt64(0))
    }

    /// The kernel's numbers of devices in 32 bits (new_encode_dev): 12 of the major and 20 of the minor number.
    static func device(_ inode: ImageTree.Inode) -> UInt32 {
        inode.deviceMinor & 0xFF | inode.deviceMajor << 8 | (inode.deviceMinor & ~0xFF) << 12
    }

    /// Whether Linux has no such thing: a device whose numbers it cannot hold.
    static func isLeftOut(_ inode: ImageTree.Inode) -> Bool {
        inode.deviceMajor >= ErofsFormat.deviceMajors || inode.deviceMinor >= ErofsFormat.deviceMinors
    }

    /// Linux gives every symbolic link all permissions, whatever the layer says.
    private static func mode(of inode: ImageTree.Inode) -> UInt16 {
        let permissions = inode.kind == .symbolicLink ? 0o777 : inode.mode & 0o7777
        return permissions | type(of: inode.kind) << 12
    }

    /// The kind as the upper four bits of a mode have it.
    private static func type(of kind: LayerEntry.Kind) -> UInt16 {
        switch kind {
        case .file, .hardLink: 0o10
        case .directory: 0o04
        case .symbolicLink: 0o12
        case .characterDevice: 0o02
        case .blockDevice: 0o06
        case .fifo: 0o01
        }
    }

    /// The kind as the entries of directories have it.
    static func entryType(of kind: LayerEntry.Kind) -> UInt8 {
        switch kind {
        case .file, .hardLink: 1
        case .directory: 2
        case .characterDevice: 3
        case .blockDevice: 4
        case .fifo: 5
        case .symbolicLink: 7
        }
    }
}
