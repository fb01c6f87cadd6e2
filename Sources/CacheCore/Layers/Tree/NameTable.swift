internal import Glibc

/// The names of a tree that is being built, found by directory and name: 24 bytes and the name for each, no object of
/// its own.
///
/// A name that is removed stays in the table, as one that stands for nothing, and is used again when it comes back.
struct NameTable {
    /// A name in a directory.
    struct Name {
        /// The inode of the directory.
        let directory: UInt32
        let offset: UInt32
        let hash: UInt32
        /// What it stands for; ``ImageTree/none`` once it was removed.
        var inode: UInt32
        /// The next one in the list of its directory.
        var next = ImageTree.none
        /// The layer that has last made something under this name, or under it.
        var layer: UInt16
        let count: UInt8
        var isListed = false

        var text: ImageTree.Text { ImageTree.Text(offset: offset, count: UInt32(count)) }
    }

    var names: [Name] = []
    /// Names, link targets and attributes one after the other.
    private(set) var text: [UInt8] = [0]
    /// Indices of `names` plus one, by hash; a power of two of them, at most two thirds in use.
    private var slots: [UInt32]

    init(expecting count: Int) {
        names.reserveCapacity(count)
        var size = 64
        while size * 2 < count * 3 { size *= 2 }
        slots = Array(repeating: 0, count: size)
    }

    /// Where a name is, or would be.
    struct Spot {
        /// Its index in ``names`` if it was there before; it may stand for nothing now.
        let place: UInt32?
        let hash: UInt32
    }

    func find(_ name: UnsafeRawBufferPointer, in directory: UInt32) -> Spot {
        // Seeded anew in each process, so that a hostile layer cannot have names that collide.
        var hasher = Hasher()
        hasher.combine(directory)
        hasher.combine(bytes: name)
        let hash = UInt32(truncatingIfNeeded: hasher.finalize())
        var slot = Int(hash) & (slots.count - 1)
        while slots[slot] != 0 {
            let place = slots[slot] - 1
            if matches(names[Int(place)], hash, directory, name) { return Spot(place: place, hash: hash) }
            slot = (slot + 1) & (slots.count - 1)
        }
        return Spot(place: nil, hash: hash)
    }

    private func matches(_ entry: Name, _ hash: UInt32, _ directory: UInt32, _ name: UnsafeRawBufferPointer) -> Bool {
        guard entry.hash == hash, entry.directory == directory, Int(entry.count) == name.count else { return false }
        return text.withUnsafeBytes { text in
            let known = UnsafeRawBufferPointer(rebasing: text[Int(entry.offset)..<Int(entry.offset) + name.count])
            guard let known = known.baseAddress, let name = name.baseAddress else { return true }
            return memcmp(known, name, Int(entry.count)) == 0
        }
    }

    /// Adds a name that is not there; at most 255 bytes.
    mutating func insert(
        _ name: ArraySlice<UInt8>, in directory: UInt32, hash: UInt32, inode: UInt32, layer: UInt16
    ) -> UInt32 {
        let place = UInt32(names.count)
        names.append(
            Name(
                directory: directory, offset: append(name).offset, hash: hash, inode: inode, layer: layer,
                count: UInt8(name.count)))
        if names.count * 3 > slots.count * 2 { grow() }
        occupy(place, hash)
        return place
    }

    private mutating func occupy(_ place: UInt32, _ hash: UInt32) {
        var slot = Int(hash) & (slots.count - 1)
        while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = place + 1
    }

    private mutating func grow() {
        slots = Array(repeating: 0, count: slots.count * 2)
        for place in names.indices.dropLast() { occupy(UInt32(place), names[place].hash) }
    }

    /// Keeps a text, and a zero byte behind it.
    mutating func append(_ bytes: some Collection<UInt8>) -> ImageTree.Text {
        let place = ImageTree.Text(offset: UInt32(text.count), count: UInt32(bytes.count))
        text.append(contentsOf: bytes)
        text.append(0)
        return place
    }
}
