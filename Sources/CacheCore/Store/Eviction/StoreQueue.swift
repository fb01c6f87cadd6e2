/// The two FIFO queues of the store; the raw values are part of the format.
package enum StoreQueue: UInt8, Sendable {
    case small = 0
    case main = 1
}
