/// What an image runs on, as far as it says so.
struct OCIPlatform: Codable, Equatable {
    var architecture: String?
    var os: String?
    var variant: String?

    init(architecture: String?, os: String?, variant: String? = nil) {
        self.architecture = architecture.nonEmpty
        self.os = os.nonEmpty
        self.variant = variant.nonEmpty
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            architecture: try container.decodeIfPresent(String.self, forKey: .architecture),
            os: try container.decodeIfPresent(String.self, forKey: .os),
            variant: try container.decodeIfPresent(String.self, forKey: .variant))
    }

    /// What this machine runs.
    static var host: OCIPlatform {
        #if arch(arm64)
            OCIPlatform(architecture: "arm64", os: "linux")
        #else
            OCIPlatform(architecture: "amd64", os: "linux")
        #endif
    }

    /// Whether it has all that an image is chosen by.
    var isComplete: Bool { architecture != nil && os != nil }

    /// This one, with what it leaves out from `other`.
    func completed(by other: OCIPlatform) -> OCIPlatform {
        OCIPlatform(
            architecture: architecture ?? other.architecture, os: os ?? other.os,
            variant: architecture == nil ? variant ?? other.variant : variant)
    }

    func isSameMachine(as other: OCIPlatform) -> Bool { architecture == other.architecture && os == other.os }

    /// The variant that every machine of the architecture has, however it is written.
    var isBaseline: Bool {
        switch architecture {
        case "arm64": variant == nil || variant == "v8"
        case "amd64": variant == nil || variant == "v1"
        default: variant == nil
        }
    }
}

extension OCIPlatform: CustomStringConvertible {
    /// `linux/arm/v7`.
    var description: String {
        [os ?? "unknown", architecture ?? "unknown", variant].compactMap { $0 }.joined(separator: "/")
    }
}
