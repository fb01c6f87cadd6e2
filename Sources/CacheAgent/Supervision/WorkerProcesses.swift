package import CacheCore
package import CacheFiles

/// What the two processes of a worker hand to one another, and how one starts the other.
///
/// One serves. The other does nothing but hold what must not be closed when the first is killed: the descriptors of
/// FUSE and the lock of the place. Each learns at once of the other's death, and starts it again.
package struct WorkerProcesses: Sendable {
    /// What the serving process tells the supervisor, a byte each.
    enum Message: UInt8 {
        /// It answers.
        case serving = 0x72
        /// It has come to its end and left nothing mounted: the supervisor ends, too.
        case ended = 0x65
        /// It cannot start, and has said why.
        case failed = 0x66
        /// From the supervisor: unmount what nothing uses, and end when all is.
        case drain = 0x74
        /// From the supervisor: end, and leave all mounts to the next process.
        case handOver = 0x68
    }

    /// Which of the two a program is, and how many open files it was given.
    package struct Role: Sendable, Equatable {
        package enum Kind: String, Sendable {
            case serving
            case supervising
        }

        package let kind: Kind
        let files: Int

        init(_ kind: Kind, files: Int) {
            self.kind = kind
            self.files = files
        }

        /// Parses what ``text`` writes; `nil` for anything else.
        package init?(_ text: String) {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, let kind = Kind(rawValue: String(parts[0])), let files = Int(parts[1]),
                (2...64).contains(files)
            else { return nil }
            self.init(kind, files: files)
        }

        var text: String { "\(kind.rawValue):\(files)" }
    }

    /// The program, and its arguments without the role.
    let program: String
    let arguments: [String]
    /// Of the option that says the role, `NAME ROLE`.
    let roleOption: String
    /// The lock first, then the descriptors of FUSE.
    let files: [OpenFile]

    package init(program: String, arguments: [String], roleOption: String, lock: OpenFile, connection: [OpenFile]) {
        self.program = program
        self.arguments = arguments
        self.roleOption = roleOption
        files = [lock] + connection
    }

    private static let lifelineNumber: Int32 = 3
    private static let firstFileNumber: Int32 = 4

    /// Starts the other one; the line to it.
    func start(_ kind: Role.Kind) throws(CacheError) -> Lifeline {
        let (own, other) = try Lifeline.make()
        var spawn = ChildSpawn(
            program: program, arguments: arguments + [roleOption, Role(kind, files: files.count).text])
        spawn.files =
            [.init(other.descriptor, as: Self.lifelineNumber)]
            + files.enumerated().map { .init($1.descriptor, as: Self.firstFileNumber + Int32($0)) }
        _ = try spawn.start()
        withExtendedLifetime((other, files)) {}
        return own
    }

    /// What a process of a role was started with.
    package struct Inherited: Sendable {
        package let lifeline: Lifeline
        package let lock: OpenFile
        package let connection: [OpenFile]

        /// - Throws: `.invalidInput` for a program that was not started by the other process of a worker.
        package init(_ role: Role) throws(CacheError) {
            let files = (0..<Int32(role.files)).compactMap {
                OpenFile.inherited(firstFileNumber + $0, name: $0 == 0 ? "the worker's lock" : "FUSE")
            }
            guard let line = OpenFile.inherited(lifelineNumber, name: "lifeline"), files.count == role.files else {
                throw CacheError(.invalidInput, "this role is for programs that a worker starts: run layercache worker")
            }
            lifeline = Lifeline(line)
            lock = files[0]
            connection = Array(files[1...])
        }
    }
}
