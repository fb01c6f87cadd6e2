/// What the header fields of a request say about leases.
struct LeaseFields: Hashable, Sendable {
    /// How many seconds it would stand in line for another's fill; 0 for one that wants no lease either; `nil` if it
    /// says nothing of it.
    private(set) var wait: Int?
    /// Whether it wants to be told, by `102 Processing`, that it stands in line.
    private(set) var wantsProcessing = false
    /// The lease that it shows.
    private(set) var token: LeaseToken?
    /// Which worker it says that it comes from.
    private(set) var worker: LeaseWorker.Name?

    /// Longer than any daemon lets a request wait.
    private static let longest = 86_400

    /// Takes a `Prefer` field (RFC 7240); what is not about leases is ignored, as that demands.
    mutating func notePrefer(_ value: String) {
        for preference in value.split(separator: ",") {
            let preference = preference.split(separator: " ").joined().lowercased()
            if preference == "processing" { wantsProcessing = true }
            guard preference.hasPrefix("wait=") else { continue }
            let digits = preference.dropFirst("wait=".count)
            guard !digits.isEmpty, digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
            else { continue }
            wait = min(Int(digits) ?? Self.longest, Self.longest)
        }
    }

    /// Takes a `Layercache-Lease` field.
    mutating func noteLease(_ value: String) { token = LeaseToken(value) }

    /// Takes a `Layercache-Worker` field.
    mutating func noteWorker(_ value: String) { worker = LeaseWorker.Name(value) }
}
