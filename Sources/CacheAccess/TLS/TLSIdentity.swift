internal import CacheBase
internal import CacheFiles
package import Logging
internal import NIOConcurrencyHelpers
package import NIOCore
internal import NIOSSL

/// One end of TLS: what it shows, and what it asks of the other end. Read again when a file of it changes; new
/// connections get the new one, and files that do not fit together change nothing.
///
/// TLS 1.3, or 1.2 with forward secrecy and authenticated encryption; HTTP/1.1 by ALPN.
package final class TLSIdentity: Sendable {
    package enum Role: Sendable {
        /// Asks clients for a certificate where there are CAs for it.
        case server
        /// Asks the server for a certificate of the host that was meant.
        case client
    }

    private struct Current {
        var context: NIOSSLContext
        var expires: Int?
    }

    private struct Watch {
        var files: WatchedFiles
        /// What is in use of them, and since when.
        var contents: [[UInt8]]
        var since: NIODeadline
        var complaint: String?
    }

    /// How long a server's clients may resume a session: who does shows no certificate again. So it is the time after
    /// which one that has expired is found out, and that for which a stolen memory of the server opens the past.
    static let sessionTime = TimeAmount.hours(1)

    private let role: Role
    private let files: TLSFiles
    private let logger: Logger
    private let current: NIOLockedValueBox<Current>
    private let watch: NIOLockedValueBox<Watch>
    private let now: @Sendable () -> NIODeadline

    /// Reads the files. Blocks.
    /// - Parameter now: the clock that the time for sessions goes by.
    /// - Throws: ``CacheError`` for files that cannot be used, or do not fit together.
    package init(
        _ role: Role, _ files: TLSFiles, logger: Logger, now: @escaping @Sendable () -> NIODeadline = { .now() }
    ) throws {
        guard (files.certificate == nil) == (files.key == nil) else {
            throw CacheError(.invalidInput, "a certificate needs its private key, and a key its certificate: give both")
        }
        self.role = role
        self.files = files
        self.logger = logger
        self.now = now
        var watched = files.watched
        let contents = try watched.look()?.get() ?? []
        current = NIOLockedValueBox(try Self.make(role, files, contents))
        watch = NIOLockedValueBox(Watch(files: watched, contents: contents, since: now()))
        warnIfExpired()
    }

    /// Seconds since 1970 after which its certificate counts no more; `nil` without one.
    package var expires: Int? { current.withLockedValue { $0.expires } }

    /// Names what sessions can be resumed in: another one resumes none of the last.
    var sessions: ObjectIdentifier { current.withLockedValue { ObjectIdentifier($0.context) } }

    /// Uses what is in the files now, if that is something else. Blocks. Whether it is.
    @discardableResult
    package func look() -> Bool {
        watch.withLockedValue { watch in
            guard let result = watch.files.look() else {
                endSessions(&watch)
                return false
            }
            do {
                let contents = try result.get()
                let new = try Self.make(role, files, contents)
                current.withLockedValue { $0 = new }
                watch.contents = contents
                watch.since = now()
                watch.complaint = nil
                logger.notice("new certificates are in use")
                warnIfExpired()
                return true
            } catch {
                // What goes on is told once.
                let complaint = "\(error)"
                if complaint != watch.complaint {
                    logger.error("going on with the old certificates", metadata: ["error": "\(error)"])
                }
                watch.complaint = complaint
                return false
            }
        }
    }

    /// Makes the same again once its time is over: the keys of sessions go with the old one.
    private func endSessions(_ watch: inout Watch) {
        guard role == .server, now() - watch.since >= Self.sessionTime else { return }
        watch.since = now()
        do {
            let new = try Self.make(role, files, watch.contents)
            current.withLockedValue { $0 = new }
        } catch {
            // It was made of the same bytes before: a machine without memory, say.
            logger.error("sessions of TLS stay resumable for longer", metadata: ["error": "\(error)"])
        }
    }

    private func warnIfExpired() {
        guard let expires, Int64(expires) * 1000 < Int64(clamping: SystemClock.milliseconds()) else { return }
        logger.warning("the certificate has expired", metadata: ["certificate": "\(files.certificate ?? "")"])
    }

    // MARK: Connections

    /// The handler that goes in front of all others of a connection that was accepted.
    package func serverHandler() -> any ChannelHandler {
        NIOSSLServerHandler(context: current.withLockedValue { $0.context })
    }

    /// The same for a connection to `host`, a name or an address.
    func clientHandler(host: String) throws -> NIOSSLClientHandler {
        let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
        return try NIOSSLClientHandler(
            context: current.withLockedValue { $0.context }, serverHostname: isAddress ? nil : host)
    }

    private static func make(_ role: Role, _ files: TLSFiles, _ contents: [[UInt8]]) throws -> Current {
        let material = try files.material(contents)
        var configuration: TLSConfiguration
        switch role {
        case .server:
            guard let key = material.key, !material.chain.isEmpty else {
                throw CacheError(.invalidInput, "TLS needs a certificate and its private key")
            }
            configuration = .makeServerConfiguration(
                certificateChain: material.chain.map { .certificate($0) }, privateKey: .privateKey(key))
            if !material.authorities.isEmpty {
                configuration.certificateVerification = .noHostnameVerification
                configuration.trustRoots = .certificates(material.authorities)
                configuration.sendCANameList = true
            }
            // A client that does not say goodbye keeps its place no longer than that.
            configuration.shutdownTimeout = .seconds(1)
        case .client:
            configuration = .makeClientConfiguration()
            configuration.certificateVerification = .fullVerification
            if !material.authorities.isEmpty { configuration.trustRoots = .certificates(material.authorities) }
            configuration.certificateChain = material.chain.map { .certificate($0) }
            configuration.privateKey = material.key.map { .privateKey($0) }
            configuration.shutdownTimeout = .milliseconds(100)
        }
        configuration.minimumTLSVersion = .tlsv12
        configuration.cipherSuiteValues = Self.ciphers
        configuration.applicationProtocols = ["http/1.1"]
        do {
            return Current(context: try NIOSSLContext(configuration: configuration), expires: material.expires)
        } catch {
            throw CacheError(
                .invalidInput,
                "certificate \(files.certificate ?? "") and private key \(files.key ?? "") cannot be used together: "
                    + "they must be of one pair")
        }
    }

    /// Those of TLS 1.2; 1.3 has its own.
    private static let ciphers: [NIOTLSCipher] = [
        .TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, .TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        .TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, .TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        .TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, .TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ]
}
