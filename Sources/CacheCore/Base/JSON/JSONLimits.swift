/// What a JSON document from outside may have before it is refused.
package struct JSONLimits: Sendable {
    /// Bytes of the document.
    package let bytes: Int
    /// Arrays and objects inside one another.
    package let depth: Int

    package init(bytes: Int, depth: Int) {
        self.bytes = bytes
        self.depth = depth
    }
}
