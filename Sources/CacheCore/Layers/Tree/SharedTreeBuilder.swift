internal import NIOConcurrencyHelpers

/// An ``ImageTreeBuilder`` behind a lock, so that several threads can use it one after the other.
package final class SharedTreeBuilder: Sendable {
    private let builder: NIOLockedValueBox<ImageTreeBuilder>

    /// As ``ImageTreeBuilder/init(expecting:whiteouts:limits:)``.
    package init(expecting count: Int, whiteouts: Bool) {
        builder = NIOLockedValueBox(ImageTreeBuilder(expecting: count, whiteouts: whiteouts))
    }

    package func with(_ body: (inout ImageTreeBuilder) throws -> Void) throws { try builder.withLockedValue(body) }

    /// The tree; the builder is an empty one afterwards.
    package func finish() -> ImageTree {
        builder.withLockedValue { builder in
            let full = builder
            builder = ImageTreeBuilder(whiteouts: false)
            return full.finish()
        }
    }
}
