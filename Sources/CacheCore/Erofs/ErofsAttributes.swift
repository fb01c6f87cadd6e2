internal import CacheFiles
internal import CacheLayers

/// The extended attributes of an inode as EROFS has them: a header of 12 bytes, and an entry for each.
///
/// What no filesystem of Linux would have taken from a program that unpacks the image is left out, as it is then: the
/// kernel checks attributes when they are set, not when they are read.
enum ErofsAttributes {
    private static let headerBytes = 12
    /// Their length is kept in 16 bits, as four bytes each behind the header.
    private static let mostBytes = headerBytes + 4 * (Int(UInt16.max) - 1)

    /// What the inode has to say they are: the number of words with the header counted as one.
    static func wordCount(_ bytes: Int) -> UInt16 {
        bytes == 0 ? 0 : UInt16((bytes - headerBytes) / 4 + 1)
    }

    /// All of them, in the order in which the layer has them; empty if there are none.
    /// - Parameter leaveOut: is told of each that is left out.
    static func encode(
        of inode: ImageTree.Inode, in tree: ImageTree, leaveOut: (FileName, ErofsNotes.Reason) -> Void
    ) -> [UInt8] {
        guard inode.hasAttributes else { return [] }
        var bytes = [UInt8](repeating: 0, count: headerBytes)
        // No attribute is known to be absent: the filter in the header is for newer kernels alone.
        for (name, value) in lastOfEachName(tree.attributes(of: inode)) {
            var value = value
            guard let place = ErofsAttributeName(name) else {
                leaveOut(name, .attributeName)
                continue
            }
            if let reason = place.refusal(of: &value, for: inode) {
                if let reason = reason.note { leaveOut(name, reason) }
                continue
            }
            let suffix = name.bytes.dropFirst(place.prefixLength)
            guard value.count <= Int(UInt16.max), bytes.count + 4 + suffix.count + value.count <= mostBytes else {
                leaveOut(name, .attributeSize)
                continue
            }
            bytes.append(UInt8(suffix.count))
            bytes.append(place.index)
            bytes.append(number: UInt16(value.count))
            bytes += suffix
            bytes += value
            bytes.pad(to: (bytes.count + 3) & ~3)
        }
        return bytes.count == headerBytes ? [] : bytes
    }

    /// The last of those that have one name, as if they were set one after the other.
    private static func lastOfEachName(
        _ list: [(name: FileName, value: [UInt8])]
    ) -> [(name: FileName, value: [UInt8])] {
        if list.count < 2 { return list }
        var seen: Set<FileName> = []
        return list.reversed().filter { seen.insert($0.name).inserted }.reversed()
    }
}
