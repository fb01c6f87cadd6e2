internal import CacheFiles
internal import NIOSSL

/// One of the two ends of TLS does not want the other, with the reason in one line.
package struct TLSRefusal: Error, Hashable, CustomStringConvertible {
    package let description: String

    /// `nil` for what is no refusal: a connection that broke.
    ///
    /// - Parameters:
    ///   - host: that was meant.
    ///   - certificate: the server's.
    init?(explaining error: any Error, host: String, certificate: NIOSSLCertificate?) {
        if (error as? NIOSSLExtraError) == .failedToValidateHostname {
            description = "its certificate is not for \(host): use the name that is in it"
            return
        }
        let reason: String
        switch error {
        case NIOSSLError.handshakeFailed(let below): reason = "\(below)"
        case let below as BoringSSLError: reason = "\(below)"
        default: return nil
        }
        func says(_ words: String...) -> Bool { words.contains { reason.contains($0) } }
        if says("CERTIFICATE_VERIFY_FAILED") {
            description = Self.fault(of: certificate)
        } else if says("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_MESSAGE") {
            description = "it does not speak TLS: use http://, or the port that does"
        } else if says("ALERT_CERTIFICATE_REQUIRED") {
            description = "it asks for a client certificate: give --l2-cert and --l2-key"
        } else if says("ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "ALERT_CERTIFICATE", "ALERT_DECRYPT_ERROR") {
            description =
                "it does not accept this client's certificate: see --l2-cert, and the daemon's --tls-client-ca"
        } else if says("ALERT_HANDSHAKE_FAILURE", "ALERT_PROTOCOL_VERSION") {
            description = "it has no version or cipher of TLS in common with this client, or wants a client certificate"
        } else {
            return nil
        }
    }

    private static func fault(of certificate: NIOSSLCertificate?) -> String {
        let now = Int(SystemClock.milliseconds() / 1000)
        if let certificate, certificate.notValidAfter < now { return "its certificate has expired: renew it" }
        if let certificate, certificate.notValidBefore > now {
            return "its certificate is not valid yet: look at the clocks"
        }
        return "its certificate is not from a CA that is trusted here: see --l2-ca"
    }
}
