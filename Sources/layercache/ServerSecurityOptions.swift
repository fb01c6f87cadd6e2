import ArgumentParser
import CacheServer

/// Who may use the daemon, and how it and its clients know one another.
struct ServerSecurityOptions: ParsableArguments {
    @Option(
        name: .customLong("tokens"),
        help: ArgumentHelp("Token list: clients must have a token of it ('layercache token').", valueName: "file"))
    var tokens: String?
    @Option(
        name: .customLong("tls-cert"),
        help: ArgumentHelp("Certificate as PEM, with its chain: TLS alone is spoken then.", valueName: "file"))
    var tlsCertificate: String?
    @Option(
        name: .customLong("tls-key"), help: ArgumentHelp("Private key of --tls-cert as PEM.", valueName: "file"))
    var tlsKey: String?
    @Option(
        name: .customLong("tls-client-ca"),
        help: ArgumentHelp("CAs as PEM: clients must have a certificate of one of them.", valueName: "file"))
    var tlsClientAuthority: String?
    @Flag(help: "Listen where other machines reach it without TLS or without tokens, too.")
    var insecure = false

    func security(_ settings: Settings) throws -> ServerSecurity {
        var security = ServerSecurity()
        security.tokensFile = settings.value("tokens", tokens)
        security.certificateFile = settings.value("tls-cert", tlsCertificate)
        security.keyFile = settings.value("tls-key", tlsKey)
        security.clientAuthorityFile = settings.value("tls-client-ca", tlsClientAuthority)
        security.isInsecureAllowed = insecure
        guard (security.certificateFile == nil) == (security.keyFile == nil) else {
            throw ValidationError("--tls-cert and --tls-key go together: give both.")
        }
        guard security.clientAuthorityFile == nil || security.certificateFile != nil else {
            throw ValidationError("--tls-client-ca needs --tls-cert and --tls-key.")
        }
        return security
    }
}
