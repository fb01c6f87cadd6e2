/// What may change while a daemon runs, and what only at its next start.
extension ServerConfiguration {
    /// What another configuration changes, by the names of the command line's options.
    public struct Changes: Sendable, Hashable {
        /// Counts from now on.
        public var made: [String] = []
        /// Would count at the next start alone.
        public var left: [String] = []
    }

    /// Takes over from `new` what may change under way.
    mutating func take(_ new: ServerConfiguration) -> Changes {
        var changes = Changes()
        for part in Self.changeable where part.differs(self, new) {
            part.copy(&self, new)
            changes.made.append(part.name)
        }
        for part in Self.fixed where part.differs(self, new) && !changes.left.contains(part.name) {
            changes.left.append(part.name)
        }
        return changes
    }

    private struct Part {
        let name: String
        let differs: (ServerConfiguration, ServerConfiguration) -> Bool
        let copy: (inout ServerConfiguration, ServerConfiguration) -> Void

        init<Value: Equatable>(_ name: String, _ path: WritableKeyPath<ServerConfiguration, Value>) {
            self.name = name
            differs = { $0[keyPath: path] != $1[keyPath: path] }
            copy = { $0[keyPath: path] = $1[keyPath: path] }
        }
    }

    private static var changeable: [Part] {
        [
            Part("connections", \.limits.connections), Part("lease-time", \.limits.leaseTime),
            Part("lease-wait", \.limits.leaseWait), Part("shutdown-delay", \.shutdownDelay), Part("ring", \.ring),
        ]
    }

    private static var fixed: [Part] {
        [
            Part("listen", \.host), Part("listen", \.port), Part("store", \.storeDirectory),
            Part("capacity", \.capacity), Part("memory", \.memoryBytes), Part("threads", \.eventLoopThreads),
            Part("tokens", \.security.tokensFile), Part("tls-cert", \.security.certificateFile),
            Part("tls-key", \.security.keyFile), Part("tls-client-ca", \.security.clientAuthorityFile),
        ]
    }
}
