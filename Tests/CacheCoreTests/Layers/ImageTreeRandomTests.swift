import CacheCore
import TestSupport
import Testing

/// Random layers against a model that works as `umoci unpack` does, with whole paths in a dictionary instead of a tree.
@Suite struct ImageTreeRandomTests {
    /// What stands under a path; several paths may share one.
    private final class Thing {
        let entry: LayerEntry
        init(_ entry: LayerEntry) { self.entry = entry }
    }

    private struct Refused: Error {}

    /// Paths are texts without a slash in front; the root is the empty one.
    private struct Model {
        var things: [String: Thing] = [:]
        var upper: Set<String> = []

        static func clean(_ path: String) -> [String] {
            var names: [String] = []
            for name in path.split(separator: "/").map(String.init) where name != "." {
                if name == ".." { _ = names.popLast() } else { names.append(name) }
            }
            return names
        }

        func isDirectory(_ path: String) -> Bool { path.isEmpty || things[path]?.entry.kind == .directory }

        /// The directory that names lead to, links followed; it may not be there.
        func resolve(_ names: [String]) throws -> String {
            var rest = names.joined(separator: "/")
            var way: [String] = []
            var links = 0
            while !rest.isEmpty {
                let (name, after) = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).head
                rest = after
                way = Self.clean((way + [name]).joined(separator: "/"))
                guard let thing = things[way.joined(separator: "/")], thing.entry.kind == .symbolicLink else {
                    continue
                }
                links += 1
                if links > 255 { throw Refused() }
                let target = String(decoding: thing.entry.linkTarget, as: UTF8.self)
                if target.hasPrefix("/") { way = [] } else { way.removeLast() }
                rest = target + "/" + rest
            }
            return way.joined(separator: "/")
        }

        mutating func removeAll(_ path: String) {
            things = things.filter { $0.key != path && !$0.key.hasPrefix(path + "/") }
        }

        mutating func makeDirectories(_ path: String) {
            var sofar = ""
            for name in path.split(separator: "/") {
                sofar += (sofar.isEmpty ? "" : "/") + name
                if isDirectory(sofar) { continue }
                removeAll(sofar)
                things[sofar] = Thing(LayerEntry(sofar + "/", mode: 0o755, mtime: 0))
            }
        }

        mutating func whiteOut(_ path: String, opaque: Bool) {
            guard path.isEmpty || things[path] != nil else { return }
            for key in things.keys where key == path || key.hasPrefix(path.isEmpty ? "" : path + "/") {
                if !upper.contains(key), !(opaque && key == path) { removeAll(key) }
            }
        }

        mutating func apply(_ entry: LayerEntry) throws {
            var names = Self.clean(String(decoding: entry.path, as: UTF8.self))
            guard let file = names.popLast() else {
                if entry.kind != .directory { throw Refused() }
                things[""] = Thing(entry)
                return
            }
            let directory = try resolve(names)
            let path = directory.isEmpty ? file : directory + "/" + file
            if file == ".wh..wh..opq" { return whiteOut(directory, opaque: true) }
            if file.hasPrefix(".wh.") {
                return whiteOut((directory.isEmpty ? "" : directory + "/") + file.dropFirst(4), opaque: false)
            }
            makeDirectories(directory)
            let isMerged = isDirectory(path) && entry.kind == .directory
            if !isMerged { removeAll(path) }
            if entry.kind == .hardLink {
                var target = Self.clean(String(decoding: entry.linkTarget, as: UTF8.self))
                guard let last = target.popLast() else { throw Refused() }
                let place = try resolve(target)
                guard isDirectory(place), let thing = things[place.isEmpty ? last : place + "/" + last],
                    thing.entry.kind != .directory
                else { throw Refused() }
                things[path] = thing
            } else {
                things[path] = Thing(entry)
            }
            var above = path
            while !above.isEmpty {
                upper.insert(above)
                above = above.split(separator: "/").dropLast().joined(separator: "/")
            }
        }
    }

    private func entry(_ random: inout SeededGenerator, _ number: Int) -> LayerEntry {
        func path() -> String {
            var names: [String] = []
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                names.append(["a", "b", "c", "d", "a", "b", ".", ".."][Int.random(in: 0..<8, using: &random)])
            }
            return (Int.random(in: 0..<4, using: &random) == 0 ? "/" : "") + names.joined(separator: "/")
        }
        var path = path()
        switch Int.random(in: 0..<12, using: &random) {
        case 0..<4: break
        case 4, 5:
            return LayerEntry("\(path)/", mode: UInt16.random(in: 0...0o1777, using: &random), mtime: Int64(number))
        case 6, 7:
            return LayerEntry(
                "\(path) -> \(["../", "/", ""][Int.random(in: 0..<3, using: &random)])\(path2(&random))",
                mtime: Int64(number))
        case 8: return LayerEntry("\(path) = \(path2(&random))", mtime: Int64(number))
        case 9: return LayerEntry("\(path) |", mtime: Int64(number))
        case 10: path = path + "/.wh..wh..opq"
        default: path = path + "/.wh." + ["a", "b", "c", "d"][Int.random(in: 0..<4, using: &random)]
        }
        var file = LayerEntry(path: Array(path.utf8), kind: .file)
        file.modificationTime.seconds = Int64(number)
        return file
    }

    private func path2(_ random: inout SeededGenerator) -> String {
        (0..<Int.random(in: 1...2, using: &random)).map { _ in
            ["a", "b", "c", "d"][Int.random(in: 0..<4, using: &random)]
        }
        .joined(separator: "/")
    }

    @Test func asTheModel() throws {
        var seeds = SeededGenerator()
        var (compared, refused) = (0, 0)
        for _ in 0..<3000 {
            var random = SeededGenerator(seed: seeds.next())
            let seed = random.seed
            var model = Model()
            var builder = ImageTreeBuilder(whiteouts: true)
            layers: for layer in 0..<Int.random(in: 1...4, using: &random) {
                try builder.beginLayer("layer \(layer)")
                model.upper = []
                for _ in 0..<Int.random(in: 1...12, using: &random) {
                    let before = (builder, model)
                    let entry = entry(&random, compared)
                    let isRefused: Bool
                    do {
                        try model.apply(entry)
                        isRefused = false
                    } catch { isRefused = true }
                    let error = cacheError { try builder.apply(entry) }
                    try #require(
                        (error != nil) == isRefused, "seed \(seed): \(entry.displayPath) \(error.map { "\($0)" } ?? "")"
                    )
                    if isRefused {
                        // Runtimes give up; so that more is compared, the entry is left out.
                        (builder, model) = before
                        refused += 1
                    }
                }
            }
            let tree = builder.finish()
            var found: [String: String] = [:]
            var inodes: [Int: String] = [:]
            var things: [ObjectIdentifier: String] = [:]
            for node in 1..<tree.count {
                let (path, inode) = (tree.path(of: node).description, tree.attributes(of: node))
                let first = inodes[tree.inode(of: node)] ?? path
                inodes[tree.inode(of: node)] = first
                found[path] =
                    "\(inode.kind) \(inode.mode) \(inode.modificationTime.seconds) \(tree.linkTarget(of: inode)) "
                    + "\(first)"
            }
            var expected: [String: String] = [:]
            // In the order of the tree, so that both call the same name the first.
            for node in 1..<tree.count {
                let path = tree.path(of: node).description
                guard let thing = model.things[path] else { continue }
                let first = things[ObjectIdentifier(thing)] ?? path
                things[ObjectIdentifier(thing)] = first
                let target = String(
                    decoding: thing.entry.kind == .symbolicLink ? thing.entry.linkTarget : [], as: UTF8.self)
                expected[path] =
                    "\(thing.entry.kind) \(thing.entry.permissions.mode) \(thing.entry.modificationTime.seconds) "
                    + "\(target) \(first)"
            }
            try #require(found == expected, "seed \(seed)")
            try #require(model.things.keys.allSatisfy { $0.isEmpty || found[$0] != nil }, "seed \(seed)")
            compared += tree.count
        }
        #expect(compared > 10_000)
        #expect(refused > 100)
    }
}

extension [Substring] {
    /// The first part and the rest, as texts.
    fileprivate var head: (String, String) { (String(first ?? ""), count > 1 ? String(self[1]) : "") }
}
