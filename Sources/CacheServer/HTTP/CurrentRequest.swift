internal import NIOCore
internal import NIOHTTP1

/// The request that a connection has under way.
struct CurrentRequest {
    let plan: RequestPlan
    /// When its first byte came.
    let started: NIODeadline
    /// What it has of the in-flight budget.
    var reservation: InFlightBudget.Reservation?
    /// When the client last sent or took something, from the reservation for a body or the response on.
    var lastProgress = NIODeadline.distantPast
    /// Bytes of the response that the kernel had not taken when that was looked at last.
    var unsentBytes = 0
    /// More has come of the body than may.
    var isTooLong = false
    var status = HTTPResponseStatus.ok

    /// A request with a body reserves for it when the head is there, any other one for its response when it is carried
    /// out.
    var purpose: InFlightBudget.Purpose { plan.hasBody ? .requestBody : .response }
}

/// What is to be counted and returned of a request whose response is out.
struct FinishedRequest {
    let operation: RequestPlan.Operation
    let status: HTTPResponseStatus
    let started: NIODeadline
    let reservation: InFlightBudget.Reservation?
}
