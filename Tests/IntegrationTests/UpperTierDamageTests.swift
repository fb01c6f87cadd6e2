import Foundation
import TestSupport
import Testing

/// Whatever happens to the files of L1 and L2 while they are not in use, a pull gives the right bytes.
@Suite struct UpperTierDamageTests {
    /// What is done to one file of a store.
    enum Damage: String, CaseIterable {
        case flips, manyFlips, truncation, toNothing, deletion, zeros, garbage, growth, directory

        func apply(_ bench: Workbench, _ path: String, _ generator: inout SeededGenerator) throws {
            var bytes = try bench.bytes(path)
            switch self {
            case .flips, .manyFlips:
                for _ in 0..<(self == .flips ? 8 : 2000) where !bytes.isEmpty {
                    bytes[Int.random(in: 0..<bytes.count, using: &generator)] ^= UInt8(
                        1 << Int.random(in: 0..<8, using: &generator))
                }
                try bench.write(bytes, path)
            case .truncation:
                try bench.write(
                    bytes.prefix(bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &generator)), path)
            case .toNothing: try bench.write(Data(), path)
            case .deletion: try FileManager.default.removeItem(atPath: path)
            case .zeros: try bench.write(Data(count: bytes.count), path)
            case .garbage:
                var noise = Data(capacity: bytes.count)
                while noise.count < bytes.count {
                    withUnsafeBytes(of: generator.next()) { noise.append(contentsOf: $0) }
                }
                try bench.write(noise, path)
            case .growth: try bench.write(bytes + Data(repeating: 0x5A, count: 123_457), path)
            case .directory:
                try FileManager.default.removeItem(atPath: path)
                try FileManager.default.createDirectory(atPath: path + "/inner", withIntermediateDirectories: true)
            }
        }
    }

    private func bench() async throws -> Workbench {
        let bench = try await Workbench()
        try await bench.python("write('in', noise(1, 2200000) + text(2, 600000))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        return bench
    }

    @Test(arguments: Damage.allCases.filter { $0 != .directory })
    func damagedL1(_ damage: Damage) async throws {
        var generator = SeededGenerator(seed: UInt64(damage.rawValue.utf8.reduce(7) { $0 * 31 + Int($1) }))
        let bench = try await bench()
        let first = try await bench.pull("acme/f:1", "file:\(bench("0"))", ["--l1", bench.l1])
        for names in [["data.mdb"], ["lock.mdb"], ["use.lock", "open.lock"]] {
            let name = names.joined(separator: ", ")
            for path in names.map({ "\(bench.l1)/\($0)" }) where FileManager.default.fileExists(atPath: path) {
                try damage.apply(bench, path, &generator)
            }
            let answer = try await bench.pull("acme/f:1", "file:\(bench("out"))", ["--l1", bench.l1])
            #expect(try await bench.same(bench("in"), bench("out")), "\(damage) of \(name)")
            #expect(answer.repaired.l2 == 0)
            let lost = answer.tiers.l3.chunks > 0
            if lost { #expect(answer.repaired.l1 > 0, "\(damage) of \(name)") }
            // And it is whole again.
            let healed = try await bench.pull("acme/f:1", "file:\(bench("out"))", ["--l1", bench.l1])
            #expect(healed.tiers.l1.chunks == first.tiers.l3.chunks, "\(damage) of \(name)")
            #expect(healed.repaired.l1 == 0, "\(damage) of \(name)")
        }
    }

    @Test(arguments: Damage.allCases.filter { $0 != .directory })
    func damagedL2(_ damage: Damage) async throws {
        var generator = SeededGenerator(seed: UInt64(damage.rawValue.utf8.reduce(11) { $0 * 31 + Int($1) }))
        let bench = try await bench()
        var daemon = try await Daemon(bench)
        let first = try await bench.pull("acme/f:1", "file:\(bench("0"))", ["--l2", daemon.url])
        _ = try await daemon.stop()
        try damage.apply(bench, bench("l2/data.mdb"), &generator)
        // The scrub would find the damage before the pull does.
        daemon = try await Daemon(bench, options: ["--scrub-rate", "0"])
        let answer = try await bench.pull("acme/f:1", "file:\(bench("1"))", ["--l2", daemon.url])
        #expect(try await bench.same(bench("in"), bench("1")))
        let log = try daemon.process.text(daemon.process.errorPath)
        let startedEmpty = log.contains("starts empty")
        // What was lost was either found chunk by chunk, or the store says that it started anew.
        if answer.tiers.l3.chunks > 0, damage != .deletion, damage != .toNothing {
            #expect(answer.repaired.l2 > 0 || startedEmpty, "\(log)")
        }
        let healed = try await bench.pull("acme/f:1", "file:\(bench("2"))", ["--l2", daemon.url])
        #expect(healed.tiers.l2.chunks == first.tiers.l3.chunks)
        #expect(healed.repaired.l2 == 0)
    }

    /// Bytes of chunks, not of the index: each damaged chunk is dropped, counted by the pull and by the daemon, and
    /// replaced.
    @Test func damagedChunksAreCounted() async throws {
        let bench = try await bench()
        var daemon = try await Daemon(bench)
        let first = try await bench.pull("acme/f:1", "file:\(bench("0"))", ["--l1", bench.l1, "--l2", daemon.url])
        _ = try await daemon.stop()
        // Every sealed chunk is somewhere in the file in pieces: one byte within the first piece of each is changed.
        try await bench.python(
            """
            import glob
            chunks = [open(p, 'rb').read() for p in glob.glob('l3/generations/*/chunks/*/*')]
            for path in ['l1/data.mdb', 'l2/data.mdb']:
                store = bytearray(open(path, 'rb').read())
                done = 0
                for c in chunks:
                    at = store.find(c[:64])
                    done += at >= 0
                    # The end of a chunk is kept in the index, of whose pages LMDB leaves old copies behind.
                    while at >= 0: store[at + 20] ^= 0x10; at = store.find(c[:64])
                assert done == len(chunks), (done, len(chunks))
                write(path, store)
            """)
        // The scrub would find the damage before the pull does.
        daemon = try await Daemon(bench, options: ["--scrub-rate", "0"])
        let answer = try await bench.pull("acme/f:1", "file:\(bench("1"))", ["--l1", bench.l1, "--l2", daemon.url])
        #expect(try await bench.same(bench("in"), bench("1")))
        #expect(answer.repaired.l1 == first.tiers.l3.chunks)
        #expect(answer.repaired.l2 == first.tiers.l3.chunks, "\(answer.tiers)")
        struct Numbers: Decodable { let repairs: Int }
        let numbers = try await bench.succeed(["stats", "--l2", daemon.url, "--json"])
        #expect(try JSONDecoder().decode(Numbers.self, from: Data(numbers.utf8)).repairs == first.tiers.l3.chunks)
        let healed = try await bench.pull("acme/f:1", "file:\(bench("2"))", ["--l1", bench.l1, "--l2", daemon.url])
        #expect(healed.tiers.l1.chunks == first.tiers.l3.chunks)
        #expect(healed.repaired.l1 == 0)
    }

    @Test func emptiedDirectoriesAreFilledAgain() async throws {
        let bench = try await bench()
        var daemon = try await Daemon(bench)
        try await bench.pull("acme/f:1", "file:\(bench("0"))", ["--l1", bench.l1, "--l2", daemon.url])
        _ = try await daemon.stop()
        try await bench.shell("rm -rf l1/* l2")
        daemon = try await Daemon(bench)
        let answer = try await bench.pull("acme/f:1", "file:\(bench("1"))", ["--l1", bench.l1, "--l2", daemon.url])
        #expect(answer.tiers.l3.chunks > 0)
        #expect(try await bench.same(bench("in"), bench("1")))
    }

    /// Something that is no store at all where a store should be: right bytes, or one line that names the place.
    @Test func nonsenseInPlaceOfFiles() async throws {
        let bench = try await bench()
        var generator = SeededGenerator(seed: 5)
        for name in ["data.mdb", "use.lock", "open.lock"] {
            try await bench.shell("rm -rf l1")
            try await bench.pull("acme/f:1", "file:\(bench("0"))", ["--l1", bench.l1])
            try Damage.directory.apply(bench, "\(bench.l1)/\(name)", &generator)
            let outcome = try await bench.run(
                bench.pullArguments("acme/f:1", "file:\(bench("out"))") + ["--l1", bench.l1])
            if outcome.status == 0 {
                #expect(try await bench.same(bench("in"), bench("out")), "\(name)")
            } else {
                #expect(outcome.status == 1, "\(outcome.error)")
                #expect(outcome.errorLines.count == 1, "\(outcome.error)")
                #expect(outcome.error.contains(bench.l1), "\(outcome.error)")
            }
        }
        try await bench.shell("rm -rf l1 && ln -s /dev/zero l1")
        try await bench.fail(bench.pullArguments("acme/f:1", "file:\(bench("out"))") + ["--l1", bench.l1])
    }

    /// Many small images of random damage to the index, where a crash would come from.
    @Test func randomDamageNeverGivesWrongBytes() async throws {
        let bench = try await bench()
        let seed = UInt64.random(in: 0..<1_000_000)
        var generator = SeededGenerator(seed: seed)
        try await bench.pull("acme/f:1", "file:\(bench("0"))", ["--l1", bench.l1])
        let whole = try bench.bytes("\(bench.l1)/data.mdb")
        for round in 0..<15 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...12, using: &generator) {
                // Half of the changes go to the first pages, which are few and all matter.
                let end = Bool.random(using: &generator) ? min(65_536, bytes.count) : bytes.count
                bytes[Int.random(in: 0..<end, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            try bench.write(bytes, "\(bench.l1)/data.mdb")
            try await bench.pull("acme/f:1", "file:\(bench("out"))", ["--l1", bench.l1])
            #expect(try await bench.same(bench("in"), bench("out")), "seed \(seed), round \(round)")
        }
    }
}
