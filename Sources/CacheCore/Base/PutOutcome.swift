/// What a conditional write found.
public enum PutOutcome: Sendable, Hashable {
    case created
    case alreadyPresent
}
