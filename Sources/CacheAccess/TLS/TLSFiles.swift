internal import CacheBase
internal import CacheFiles
internal import NIOSSL

/// The files of PEM that one end of TLS works with.
package struct TLSFiles: Sendable, Hashable {
    /// Its certificate, with those between it and its CA after it.
    package var certificate: String?
    /// The key of that certificate, without a passphrase.
    package var key: String?
    /// Certificates of the CAs that the other end's must come from.
    package var authority: String?

    package init(certificate: String? = nil, key: String? = nil, authority: String? = nil) {
        self.certificate = certificate
        self.key = key
        self.authority = authority
    }

    private static let certificateKind = SmallFile.Kind("certificate", maximumBytes: 1 << 20)
    private static let keyKind = SmallFile.Kind("private key", maximumBytes: 64 << 10, privacy: .ownerAndGroup)
    private static let authorityKind = SmallFile.Kind("CA certificate", maximumBytes: 4 << 20)

    var watched: WatchedFiles { WatchedFiles(named.map { ($0.path, $0.kind) }) }

    private var named: [(path: String, kind: SmallFile.Kind, role: WritableKeyPath<TLSParts, [UInt8]?>)] {
        [
            (certificate, Self.certificateKind, \TLSParts.certificate), (key, Self.keyKind, \TLSParts.key),
            (authority, Self.authorityKind, \TLSParts.authority),
        ].compactMap { path, kind, role in path.map { ($0, kind, role) } }
    }

    /// Takes apart what ``watched`` has read.
    func material(_ contents: [[UInt8]]) throws -> TLSMaterial {
        var parts = TLSParts()
        for (file, bytes) in zip(named, contents) { parts[keyPath: file.role] = bytes }
        return TLSMaterial(
            chain: try Self.certificates(parts.certificate, certificate, Self.certificateKind),
            key: try parts.key.map { bytes in
                do { return try NIOSSLPrivateKey(bytes: bytes, format: .pem) } catch {
                    throw CacheError(
                        .invalidInput,
                        "private key \(key ?? "") cannot be used: it must be one key as PEM, without a passphrase")
                }
            },
            authorities: try Self.certificates(parts.authority, authority, Self.authorityKind))
    }

    private static func certificates(
        _ bytes: [UInt8]?, _ path: String?, _ kind: SmallFile.Kind
    ) throws -> [NIOSSLCertificate] {
        guard let bytes, let path else { return [] }
        let found = (try? NIOSSLCertificate.fromPEMBytes(bytes)) ?? []
        guard !found.isEmpty else {
            throw CacheError(
                .invalidInput, "\(kind.name) \(path) cannot be used: it must be certificates as PEM, one at least")
        }
        return found
    }
}

/// The bytes of ``TLSFiles``.
private struct TLSParts {
    var certificate: [UInt8]?
    var key: [UInt8]?
    var authority: [UInt8]?
}

/// What the files say.
struct TLSMaterial {
    let chain: [NIOSSLCertificate]
    let key: NIOSSLPrivateKey?
    /// Empty for those that the system trusts.
    let authorities: [NIOSSLCertificate]

    /// Seconds since 1970 after which the certificate counts no more.
    var expires: Int? { chain.first.map { Int($0.notValidAfter) } }
}
