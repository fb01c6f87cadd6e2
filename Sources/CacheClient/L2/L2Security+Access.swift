internal import CacheAccess
internal import CacheCore
internal import Logging

extension L2Security {
    /// What the daemons are shown; `nil` where there is nothing to show and none speaks TLS. Reads the files; blocks.
    /// - Throws: what is wrong with one of them.
    func access(to addresses: Set<L2Address>, logger: Logger) throws -> ClientAccess? {
        let speaksTLS = addresses.contains(where: \.isSecured)
        guard speaksTLS || tokenFile != nil else { return nil }
        if tokenFile != nil, let open = addresses.sorted().first(where: { !$0.isSecured && $0.isRemote }) {
            logger.warning(
                "the token for L2 crosses the network for all to read: use https://", metadata: ["node": "\(open)"])
        }
        let files = TLSFiles(certificate: certificateFile, key: keyFile, authority: authorityFile)
        return try ClientAccess(tokenPath: tokenFile, tls: speaksTLS ? files : nil, logger: logger)
    }
}
