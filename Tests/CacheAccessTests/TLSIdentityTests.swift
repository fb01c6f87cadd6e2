import Foundation
import Glibc
import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing

@testable import CacheAccess

/// What one end of TLS is made of, and when it is made anew.
@Suite(.enabled(if: TestCertificates.isPossible, "needs openssl"))
struct TLSIdentityTests {
    private let directory: TemporaryDirectory
    private let pki: TestCertificates

    init() async throws {
        directory = try TemporaryDirectory()
        pki = try await TestCertificates(in: directory.path)
    }

    private var files: TLSFiles {
        TLSFiles(
            certificate: pki.certificate("server"), key: pki.key("server"), authority: pki.certificate("ca"))
    }

    /// A certificate that has expired meanwhile, of a client that resumes its session again and again, is found out.
    @Test func sessionsEndAfterAWhile() throws {
        let time = NIOLockedValueBox(NIODeadline.uptimeNanoseconds(1 << 40))
        let identity = try TLSIdentity(.server, files, logger: .quiet) { time.withLockedValue { $0 } }
        let first = identity.sessions
        for _ in 0..<3 { identity.look() }
        time.withLockedValue { $0 = $0 + TLSIdentity.sessionTime - .seconds(1) }
        identity.look()
        #expect(identity.sessions == first)
        time.withLockedValue { $0 = $0 + .seconds(1) }
        identity.look()
        let second = identity.sessions
        #expect(second != first)
        identity.look()
        #expect(identity.sessions == second)
    }

    @Test func filesThatDoNotFitTogetherChangeNothing() async throws {
        try await pki.leaf("next")
        let identity = try TLSIdentity(.server, files, logger: .quiet)
        for _ in 0..<3 { identity.look() }
        let first = identity.sessions
        func replace(_ path: String, with other: String) throws {
            try FileManager.default.copyItem(atPath: other, toPath: directory("new"))
            #expect(rename(directory("new"), path) == 0)
        }
        try replace(pki.key("server"), with: pki.key("next"))
        #expect(!identity.look())
        #expect(identity.sessions == first)
        try replace(pki.certificate("server"), with: pki.certificate("next"))
        #expect(identity.look())
        #expect(identity.sessions != first)
        try FileManager.default.removeItem(atPath: pki.certificate("ca"))
        let second = identity.sessions
        #expect(!identity.look())
        #expect(identity.sessions == second)
        #expect(throws: (any Error).self) { try TLSIdentity(.server, files, logger: .quiet) }
        #expect(throws: (any Error).self) {
            try TLSIdentity(.client, TLSFiles(certificate: pki.certificate("client")), logger: .quiet)
        }
    }
}
