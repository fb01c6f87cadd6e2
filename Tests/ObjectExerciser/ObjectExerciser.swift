import CacheCore
import Glibc
import NIOCore

/// `object-exerciser put DIR SEED`: puts objects named by the SHA-256 of their bytes, eight at a time, until it is
/// killed.
/// `object-exerciser count DIR KEY TIMES`: adds one to the number in an object, TIMES times, by compare-and-swap.
/// `object-exerciser keygen FILE PREFIX TIMES`: adds the tenants PREFIX0, PREFIX1, ... to a keyring.
/// One line on standard output after each step.
@main
struct ObjectExerciser {
    static func main() async throws {
        let arguments = CommandLine.arguments
        switch (arguments.dropFirst().first, arguments.count) {
        case ("put", 4): try await put(arguments[2], seed: UInt64(arguments[3]) ?? 0)
        case ("count", 5): try await count(arguments[2], arguments[3], times: Int(arguments[4]) ?? 0)
        case ("keygen", 5):
            for number in 0..<(Int(arguments[4]) ?? 0) {
                try Keyring.add(TenantName(parsing: arguments[3] + "\(number)"), toFile: arguments[2])
                say()
            }
        default: exit(2)
        }
    }

    private static func say() {
        _ = write(1, "+\n", 2)
    }

    private static func put(_ root: String, seed: UInt64) async throws {
        let store = try FileObjectStore(root: root, create: true, threads: 8)
        await withThrowingTaskGroup { group in
            for worker in 0..<8 {
                group.addTask {
                    for number in 0..<UInt64.max {
                        // Lengths differ, so that a piece of an object is never a whole one.
                        let length = 1000 + Int(number % 97) * 1024
                        let body = ByteBuffer(
                            repeating: UInt8(truncatingIfNeeded: number &+ seed), count: length
                        )
                        .appending("\(seed) \(worker) \(number)")
                        let name = body.withUnsafeReadableBytes { SHA256Digest(hashing: $0).hex }
                        guard let key = ObjectKey("objects/\(name.prefix(2))/\(name)") else { exit(3) }
                        _ = try await store.putIfAbsent(key, body)
                        say()
                    }
                }
            }
        }
    }

    private static func count(_ root: String, _ name: String, times: Int) async throws {
        let store = try FileObjectStore(root: root, create: true, threads: 2)
        guard let key = ObjectKey(name) else { exit(2) }
        for _ in 0..<times {
            while true {
                let now = try await store.get(key, limit: 100)
                let number = now.flatMap { Int(String(buffer: $0.body)) } ?? 0
                let next = ByteBuffer(string: "\(number + 1)")
                if try await store.replace(key, next, expecting: now?.version) != nil { break }
            }
            say()
        }
    }
}

extension ByteBuffer {
    fileprivate func appending(_ text: String) -> ByteBuffer {
        var copy = self
        copy.writeString(text)
        return copy
    }
}
