internal import NIOCore

/// The connections of one event loop that may be closed for a new one, by class, each class in the order in which they
/// joined it.
///
/// Every request leaves a class and joins one, so both cost neither a search nor memory: the classes are doubly linked
/// lists through one array, whose places are used again.
struct EvictionOrder {
    /// Why a connection may be closed.
    enum Class: Int, CaseIterable {
        /// No request of it has been answered yet, or the head of its next one has come in part: what floods and slow
        /// heads look like.
        case unproven
        /// Sends a request, or takes a response, more slowly than any client that needs it.
        case slow
        /// Kept alive between two requests.
        case idle
        /// Answered for the last time, and waiting for the client to close.
        case lingering
        /// Beyond the limit of connections, and its head has not come yet, or it is answered.
        case probeOnly
    }

    private struct Entry {
        var membership: Class?
        var since = NIODeadline.distantPast
        var previous: Int?
        var next: Int?
    }

    private struct List {
        var first: Int?
        var last: Int?
        var count = 0
    }

    private var entries: [Entry] = []
    private var vacant: [Int] = []
    private var lists = Class.allCases.map { _ in List() }

    /// Takes in a connection, in no class yet.
    mutating func add() -> ConnectionID {
        if let number = vacant.popLast() { return ConnectionID(number: number) }
        entries.append(Entry())
        return ConnectionID(number: entries.count - 1)
    }

    /// Forgets a connection. Its id may be given to the next one.
    mutating func remove(_ connection: ConnectionID) {
        leave(connection)
        entries[connection.number] = Entry()
        vacant.append(connection.number)
    }

    /// Moves a connection to the end of a class.
    mutating func join(_ connection: ConnectionID, _ target: Class, at now: NIODeadline) {
        leave(connection)
        let list = target.rawValue
        let last = lists[list].last
        entries[connection.number] = Entry(membership: target, since: now, previous: last, next: nil)
        if let last { entries[last].next = connection.number } else { lists[list].first = connection.number }
        lists[list].last = connection.number
        lists[list].count += 1
    }

    /// Takes a connection out of its class, if it is in one: it has something under way.
    mutating func leave(_ connection: ConnectionID) {
        let number = connection.number
        let entry = entries[number]
        guard let list = entry.membership?.rawValue else { return }
        if let previous = entry.previous { entries[previous].next = entry.next } else { lists[list].first = entry.next }
        if let next = entry.next { entries[next].previous = entry.previous } else { lists[list].last = entry.previous }
        lists[list].count -= 1
        entries[number] = Entry()
    }

    func membership(of connection: ConnectionID) -> Class? { entries[connection.number].membership }

    func count(of members: Class) -> Int { lists[members.rawValue].count }

    /// The connection that has been in a class for longest.
    func first(of members: Class) -> ConnectionID? { lists[members.rawValue].first.map(ConnectionID.init) }

    /// When a connection joined its class.
    func since(_ connection: ConnectionID) -> NIODeadline { entries[connection.number].since }
}
