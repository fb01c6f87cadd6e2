/// One page of a listing.
public struct ObjectPage: Sendable, Equatable {
    /// Names with their sizes, in byte order.
    public var objects: [(key: ObjectKey, size: Int)]
    /// Folded prefixes, each ending in `/`, in byte order.
    public var prefixes: [String]
    /// What stands among them and can be no object (in a directory: symbolic links and special files), in byte order;
    /// not counted by the limit.
    public var foreign: [String]
    /// Give this as `after` to get the next page; `nil` if this was the last.
    public var next: String?

    public init(
        objects: [(key: ObjectKey, size: Int)], prefixes: [String], foreign: [String] = [], next: String?
    ) {
        self.objects = objects
        self.prefixes = prefixes
        self.foreign = foreign
        self.next = next
    }

    public static func == (left: ObjectPage, right: ObjectPage) -> Bool {
        left.prefixes == right.prefixes && left.foreign == right.foreign && left.next == right.next
            && left.objects.elementsEqual(right.objects) { $0.key == $1.key && $0.size == $1.size }
    }
}
