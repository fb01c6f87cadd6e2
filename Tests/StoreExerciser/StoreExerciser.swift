import CacheCore
import Glibc
import Logging
import NIOCore
import TestSupport

/// `store-exerciser churn DIR CAPACITY SEED OPERATIONS`: puts and reads (0 operations: until it is killed; one line a
/// commit).
/// `store-exerciser fuzz DIR CAPACITY SEED COUNT`: damages copies of the store in DIR and uses them.
/// `store-exerciser live DIR CAPACITY SEED COUNT`: damages the store in DIR while it is in use.
/// Ends with 0 if all bytes were right.
@main
struct StoreExerciser {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 6, let capacity = UInt64(arguments[3]), let seed = UInt64(arguments[4]),
            let count = Int(arguments[5])
        else {
            say("usage: store-exerciser churn|fuzz|live DIR CAPACITY SEED COUNT")
            exit(2)
        }
        switch arguments[1] {
        case "churn": try await churn(arguments[2], capacity, seed, count)
        case "fuzz":
            for offset in 0..<UInt64(count) {
                try await StoreFuzz(template: arguments[2], capacity: capacity, seed: seed + offset).run()
            }
        case "live":
            try await LiveDamage(directory: arguments[2], capacity: capacity, seed: seed).run(rounds: count)
        default: exit(2)
        }
        say("done")
    }

    /// Writes a line at once, without a buffer that a crash would lose.
    static func say(_ line: String) {
        _ = (line + "\n").withCString { write(1, $0, strlen($0)) }
    }

    static var logger: Logger {
        var logger = Logger(label: "store-exerciser") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        return logger
    }

    private static func churn(_ directory: String, _ capacity: UInt64, _ seed: UInt64, _ operations: Int) async throws {
        let store = try ChunkStore.open(directory, options: .init(capacity: capacity), logger: logger)
        let chunks = SampleChunks()
        var generator = SeededGenerator(seed: seed)
        var done = 0
        while operations == 0 || done < operations {
            // A small range, so that processes meet in the same chunks.
            let number = UInt64.random(in: 0..<300, using: &generator)
            let bytes = chunks.bytes(number)
            let id = SampleChunks.id(bytes)
            if Bool.random(using: &generator) {
                if try await store.putUnlessFull(id, bytes) { say("put") }
            } else if let found = try store.read(id), found != bytes {
                say("wrong bytes of chunk \(number), seed \(seed)")
                exit(1)
            }
            done += 1
        }
        await store.close()
    }
}

extension ChunkStore {
    /// Stores a chunk if there is room for it; whether there was. Between processes there may be none for a moment: one
    /// that the system has put aside in the middle of a read keeps the pages that were freed since.
    func putUnlessFull(_ id: ChunkID, _ bytes: ByteBuffer) async throws -> Bool {
        do {
            _ = try await put(id, bytes)
            return true
        } catch let error as CacheError where error.code == .io && "\(error)".contains("MDB_MAP_FULL") {
            return false
        }
    }
}
