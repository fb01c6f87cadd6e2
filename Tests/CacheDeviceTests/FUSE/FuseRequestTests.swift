import CLinux
import CacheFiles
import TestSupport
import Testing

@testable import CacheDevice

@Suite("Requests of FUSE")
struct FuseRequestTests {
    private func request(_ code: UInt32, _ body: [UInt8] = [], length: Int? = nil) -> FuseRequest? {
        var header = fuse_in_header()
        header.len = UInt32(length ?? MemoryLayout<fuse_in_header>.size + body.count)
        header.opcode = code
        header.unique = 77
        header.nodeid = 5
        header.pid = 9
        return (withUnsafeBytes(of: header) { Array($0) } + body).withUnsafeBytes { FuseRequest($0) }
    }

    private func bytes<Value: BitwiseCopyable>(_ value: Value) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

    @Test func aReadIsTakenApart() throws {
        var body = fuse_read_in()
        body.offset = 1 << 40
        body.size = 131_072
        let read = try #require(request(FUSE_READ.rawValue, bytes(body)))
        #expect(read.unique == 77 && read.number == 5 && read.thread == 9)
        #expect(read.operation == .read(offset: 1 << 40, count: 131_072))
    }

    @Test func namesEndWithAZeroByte() {
        #expect(request(FUSE_LOOKUP.rawValue, Array("abc\0".utf8))?.operation == .lookUp(FileName("abc")))
        for name in ["", "\0", "abc", "a\0b\0", "a\0\0"] {
            #expect(request(FUSE_LOOKUP.rawValue, Array(name.utf8))?.operation == .refused(.badArgument))
        }
    }

    @Test func whatChangesAFileIsRefused() {
        for code in [FUSE_WRITE, FUSE_SETATTR, FUSE_UNLINK, FUSE_CREATE, FUSE_RENAME2, FUSE_FALLOCATE] {
            #expect(request(code.rawValue)?.operation == .refused(.readOnlyFilesystem))
        }
        for flags: UInt32 in [1, 2] {
            #expect(
                request(FUSE_OPEN.rawValue, bytes(fuse_open_in(flags: flags, open_flags: 0)))?.operation
                    == .refused(.readOnlyFilesystem))
        }
        #expect(request(FUSE_IOCTL.rawValue)?.operation == .refused(.noFunction))
        #expect(request(9999)?.operation == .refused(.noFunction))
    }

    /// Every cut of every request, and lengths that lie: an answer or none, never a crash.
    @Test func shortRequestsAreRefused() {
        for code in (UInt32(0)...60).map({ $0 }) + [4096, .max] {
            for count in 0..<80 {
                guard let request = request(code, [UInt8](repeating: 0xFF, count: count)) else {
                    Issue.record("a header is enough for an answer")
                    continue
                }
                #expect(request.unique == 77)
            }
            #expect(request(code, length: 41)?.operation == .refused(.badArgument))
            #expect(request(code, length: 0)?.operation == .refused(.badArgument))
        }
        for count in 0..<MemoryLayout<fuse_in_header>.size {
            #expect([UInt8](repeating: 0, count: count).withUnsafeBytes { FuseRequest($0) } == nil)
        }
    }

    @Test func randomBytesAreTakenApart() {
        var generator = SeededGenerator()
        for _ in 0..<20_000 {
            var bytes = generator.bytes(Int.random(in: 0...200, using: &generator))
            if bytes.count >= 8, Bool.random(using: &generator) {
                // A length that is right, and an operation that there is.
                withUnsafeBytes(of: UInt32(bytes.count)) { bytes.replaceSubrange(0..<4, with: $0) }
                let code = UInt32.random(in: 0...55, using: &generator)
                withUnsafeBytes(of: code) { bytes.replaceSubrange(4..<8, with: $0) }
            }
            let request = bytes.withUnsafeBytes { FuseRequest($0) }
            #expect((request == nil) == (bytes.count < MemoryLayout<fuse_in_header>.size), "seed \(generator.seed)")
            if case .lookUp(let name)? = request?.operation { #expect(!name.bytes.contains(0)) }
        }
    }

    // MARK: INIT

    private func offer(minor: UInt32, _ features: UInt64) -> FuseOffer {
        FuseOffer(major: 7, minor: minor, readAheadBytes: 131_072, features: features)
    }

    @Test func onlyWhatTheKernelOffersIsAgreedUpon() throws {
        let all = try #require(FuseSession(offer(minor: 99, .max)))
        #expect(all.canResend)
        #expect(all.features & UInt64(FUSE_ASYNC_DIO) == 0)
        let passthrough: UInt64 = 1 << 37
        #expect(all.features & passthrough == 0)
        #expect(all.answer.minor <= 38 && all.answer.max_pages == 256)
        let few = try #require(FuseSession(offer(minor: 31, UInt64(FUSE_MAX_PAGES))))
        #expect(!few.canResend && few.features == UInt64(FUSE_MAX_PAGES))
        #expect(few.answer.minor == 31 && few.answer.flags2 == 0)
        #expect(FuseSession(offer(minor: 30, .max)) == nil)
        #expect(FuseSession(offer(minor: 31, 0)) == nil)
    }

    @Test func theOfferOfAnOlderKernelIsShort() {
        let words: [UInt32] = [7, 31, 4096, 0xFFFF_FFFF]
        let short = words.withUnsafeBytes { FuseOffer($0) }
        #expect(short == FuseOffer(major: 7, minor: 31, readAheadBytes: 4096, features: 0xFFFF_FFFF))
        let long = (words + [3]).withUnsafeBytes { FuseOffer($0) }
        #expect(long?.features == 0x3_FFFF_FFFF)
        #expect(words[..<3].withUnsafeBytes { FuseOffer($0) } == nil)
    }
}
