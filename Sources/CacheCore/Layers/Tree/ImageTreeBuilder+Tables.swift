// Entry tables as they are stored.
extension ImageTreeBuilder {
    /// Applies the next piece of the current layer's entry table, of any size; the pieces must come in order.
    /// - Throws: as ``apply(_:)``, and `.corrupt` for what is no entry table.
    package mutating func append(table bytes: UnsafeRawBufferPointer) throws {
        var table = reader.take() ?? EntryTableReader()
        table.append(bytes)
        while case .entry(let entry) = try table.next() { try apply(entry) }
        reader = table
    }

    /// Ends the layer. One to which no table was given has no entries.
    /// - Throws: `.corrupt` for a table that was cut off.
    package mutating func endLayer() throws {
        try reader.take()?.checkEnded()
    }
}
