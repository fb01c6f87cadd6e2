internal import CacheBase

// Linux's limits: an entry that no runtime could unpack is refused.
extension ImageTreeBuilder {
    /// Refuses what can be made on no Linux, whatever the filesystem.
    func check(_ entry: LayerEntry) throws(CacheError) {
        if let name = path.names.first(where: { $0.count > ImageTreeLimits.nameBytes }) {
            throw refusal(entry, "has a name of \(name.count) bytes; Linux takes \(ImageTreeLimits.nameBytes)")
        }
        if entry.kind == .symbolicLink {
            guard !entry.linkTarget.isEmpty else { throw refusal(entry, "is a symbolic link without a target") }
            guard entry.linkTarget.count <= ImageTreeLimits.pathBytes else {
                throw refusal(
                    entry,
                    "is a symbolic link to \(entry.linkTarget.count) bytes; Linux takes \(ImageTreeLimits.pathBytes)")
            }
        }
        guard entry.size <= UInt64(Int64.max) else { throw refusal(entry, "has \(entry.size) bytes") }
        for attribute in entry.xattrs {
            guard (1...ImageTreeLimits.attributeNameBytes).contains(attribute.name.count),
                attribute.value.count <= ImageTreeLimits.attributeValueBytes
            else {
                throw refusal(
                    entry,
                    "has an extended attribute of \(attribute.name.count) bytes of name and"
                        + " \(attribute.value.count) of value; Linux takes \(ImageTreeLimits.attributeNameBytes) and"
                        + " \(ImageTreeLimits.attributeValueBytes)")
            }
        }
    }

    /// Refuses what would have too long a path, links followed.
    func checkPath(_ entry: LayerEntry, _ count: Int, in directory: UInt32) throws(CacheError) {
        let above = Int(directories[Int(inodes[Int(directory)].first)].pathBytes)
        guard count <= ImageTreeLimits.nameBytes else {
            throw refusal(
                entry, "lies in a directory whose name has \(count) bytes; Linux takes \(ImageTreeLimits.nameBytes)")
        }
        guard above + 1 + count <= ImageTreeLimits.pathBytes else {
            throw refusal(
                entry, "has a path of \(above + 1 + count) bytes; Linux takes \(ImageTreeLimits.pathBytes)")
        }
    }

    func refusal(_ entry: LayerEntry, _ what: String) -> CacheError {
        CacheError(.invalidInput, "\(place(of: entry)) \(what)")
    }

    func place(of entry: LayerEntry) -> String {
        "\(layerNames.last ?? "a layer"): '\(String(decoding: entry.path.prefix(256), as: UTF8.self))'"
    }
}
