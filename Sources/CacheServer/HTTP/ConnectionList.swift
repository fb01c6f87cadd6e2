/// Connections of one kind in the order in which they became so, the one of longest standing first.
///
/// The links lie in the connections, so that joining and leaving, which each request does, costs neither a search nor memory.
struct ConnectionList {
    struct Links {
        fileprivate var previous: ConnectionHandler?
        fileprivate var next: ConnectionHandler?
    }

    private(set) var first: ConnectionHandler?
    private var last: ConnectionHandler?
    private(set) var count = 0

    mutating func append(_ connection: ConnectionHandler) {
        connection.links = Links(previous: last, next: nil)
        if let last { last.links.next = connection } else { first = connection }
        last = connection
        count += 1
    }

    /// Takes out a connection that is in this list.
    mutating func remove(_ connection: ConnectionHandler) {
        let links = connection.links
        if let previous = links.previous { previous.links.next = links.next } else { first = links.next }
        if let next = links.next { next.links.previous = links.previous } else { last = links.previous }
        connection.links = Links()
        count -= 1
    }
}
