/// Names a connection within its event loop. The number is used again once the connection has left.
struct ConnectionID: Hashable {
    let number: Int
}
