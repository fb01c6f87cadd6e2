internal import NIOCore
internal import NIOHTTP1

/// The request that a connection has under way.
struct CurrentRequest {
    let plan: RequestPlan
    /// When its first byte came, or its wait for a fill was over.
    var started: NIODeadline
    /// What it has of the in-flight budget.
    var reservation: InFlightBudget.Reservation?
    /// When the client last sent or took something, from the reservation for a body or the response on.
    var lastProgress = NIODeadline.distantPast
    /// Since when the client has not taken all of the response, if it did not take it at once.
    var unsentSince: NIODeadline?
    /// Bytes of the response that the kernel had not taken when that was looked at last.
    var unsentBytes = 0
    /// The number under which it stands in line for a fill.
    var placeInLine: UInt64?
    /// When it stands in line no longer; `nil` if it has not stood there yet.
    var lineEnd: NIODeadline?
    /// It was told that the chunk had come just after it was missed.
    var hasLookedAgain = false
    /// Its chunk was in memory.
    var isFromMemory = false
    /// More has come of the body than may.
    var isTooLong = false
    var status = HTTPResponseStatus.ok

    /// A request with a body reserves for it when the head is there, any other one for its response when it is carried
    /// out.
    /// - Parameter isProven: whether its client takes responses as fast as they come.
    func purpose(isProven: Bool) -> InFlightBudget.Purpose {
        plan.hasBody ? .requestBody : isProven ? .response : .firstResponse
    }
}

/// What is to be counted and returned of a request whose response is out.
struct FinishedRequest {
    let operation: RequestPlan.Operation
    let status: HTTPResponseStatus
    let started: NIODeadline
    let isFromMemory: Bool
    let reservation: InFlightBudget.Reservation?
}
