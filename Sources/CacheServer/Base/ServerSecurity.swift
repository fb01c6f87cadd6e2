/// Who may come in, and how the daemon shows who it is. Files are read again when they change, within a second.
///
/// With none of this the daemon serves everybody, and so listens on loopback alone.
public struct ServerSecurity: Sendable, Hashable {
    /// The file with the tokens that clients must have one of (docs/FORMAT.md, "Token file"). One that is damaged, or
    /// gone, refuses everybody.
    public var tokensFile: String?
    /// The daemon's certificate as PEM, with those between it and its CA after it: the daemon speaks TLS alone then.
    public var certificateFile: String?
    /// The key of ``certificateFile`` as PEM, without a passphrase.
    public var keyFile: String?
    /// Certificates, as PEM, of the CAs that clients must have a certificate of.
    public var clientAuthorityFile: String?
    /// Whether the daemon may listen where others than this machine reach it, without TLS or without tokens.
    public var isInsecureAllowed = false

    public init() {}
}
