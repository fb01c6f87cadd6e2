/// Certificates for one test, made by OpenSSL's own program, in a directory of the test: `NAME.crt` and `NAME.key`.
package struct TestCertificates: Sendable {
    package static let isPossible = BuiltProgram.isInstalled("openssl")

    private let directory: String

    /// Two CAs, `ca` and `other`, and of the first one a `server` for 127.0.0.1 and localhost, and a `client`.
    package init(in directory: String) async throws {
        self.directory = directory
        try await authority("ca")
        try await authority("other")
        try await leaf("server")
        try await leaf("client", for: "DNS:worker")
    }

    package func certificate(_ name: String) -> String { "\(directory)/\(name).crt" }
    package func key(_ name: String) -> String { "\(directory)/\(name).key" }

    package func authority(_ name: String) async throws {
        try await openssl(
            ["req", "-x509", "-days", "30", "-subj", "/CN=\(name)", "-addext", "basicConstraints=critical,CA:TRUE"]
                + newKey(name) + ["-out", certificate(name)])
    }

    /// - Parameters:
    ///   - authority: who signs it.
    ///   - names: whom it is for, as OpenSSL writes it.
    ///   - days: until it expires; below zero for one that has.
    package func leaf(
        _ name: String, by authority: String = "ca", for names: String = "IP:127.0.0.1,DNS:localhost", days: Int = 30
    ) async throws {
        let request = "\(directory)/\(name).csr"
        try await openssl(
            ["req", "-subj", "/CN=\(name)", "-addext", "subjectAltName=\(names)"] + newKey(name) + ["-out", request])
        try await openssl([
            "x509", "-req", "-in", request, "-CA", certificate(authority), "-CAkey", key(authority), "-days", "\(days)",
            "-set_serial", "\(UInt32.random(in: 1 ... .max))", "-copy_extensions", "copy", "-out", certificate(name),
        ])
    }

    private func newKey(_ name: String) -> [String] {
        ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key(name)]
    }

    private func openssl(_ arguments: [String]) async throws {
        try await ChildProcess("openssl", arguments).wait().succeeded()
    }
}
