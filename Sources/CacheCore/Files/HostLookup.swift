package import CacheBase
internal import Glibc

/// The addresses of a name, as the system's resolver knows them: DNS, /etc/hosts, whatever it is set up for.
package enum HostLookup {
    /// Numeric addresses, IPv4 and IPv6, sorted, each once. Blocks for as long as the resolver takes, which may be many
    /// seconds.
    ///
    /// - Throws: `.missing` for a name that has no addresses, `.io` if the resolver fails.
    package static func addresses(of name: String) throws(CacheError) -> [String] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(name, nil, &hints, &list)
        defer { if let list { freeaddrinfo(list) } }
        guard status == 0 else {
            let reason = String(cString: gai_strerror(status))
            throw CacheError(status == EAI_NONAME ? .missing : .io, "\(name) cannot be looked up: \(reason)")
        }
        var found: Set<String> = []
        var next = list
        while let entry = next?.pointee {
            if let address = numeric(entry) { found.insert(address) }
            next = entry.ai_next
        }
        return found.sorted()
    }

    private static func numeric(_ entry: addrinfo) -> String? {
        // An IPv6 address with the name of its interface is the longest.
        var text = [CChar](repeating: 0, count: 128)
        let status = getnameinfo(
            entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        guard status == 0 else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
