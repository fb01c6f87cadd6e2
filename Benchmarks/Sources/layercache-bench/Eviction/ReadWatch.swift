import Foundation

/// Sees which chunks processes read from an L3 that is a directory, in order.
final class ReadWatch {
    private let descriptor: Int32
    private var directories: [Int32: String] = [:]

    /// - Parameter l3: holds all chunks already: directories made later are not seen.
    init(l3: String) throws {
        descriptor = inotify_init1(O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw BenchError("inotify: \(String(cString: strerror(errno)))") }
        let generations = "\(l3)/generations"
        for generation in try FileManager.default.contentsOfDirectory(atPath: generations) {
            let chunks = "\(generations)/\(generation)/chunks"
            for name in try FileManager.default.contentsOfDirectory(atPath: chunks) {
                let watch = inotify_add_watch(descriptor, "\(chunks)/\(name)", UInt32(IN_OPEN))
                guard watch >= 0 else { throw BenchError("inotify: \(String(cString: strerror(errno)))") }
                directories[watch] = "\(chunks)/\(name)"
            }
        }
    }

    deinit { close(descriptor) }

    /// The files of the chunks that were opened since the last call.
    func take() throws -> [String] {
        var paths: [String] = []
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 8)
        defer { buffer.deallocate() }
        while true {
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            guard count > 0 else { return paths }
            // An event: i32 watch, u32 mask, u32 cookie, u32 length of the name, the name with zeros behind it.
            var place = 0
            while place + 16 <= count {
                let watch = buffer.loadUnaligned(fromByteOffset: place, as: Int32.self)
                let mask = buffer.loadUnaligned(fromByteOffset: place + 4, as: UInt32.self)
                let length = Int(buffer.loadUnaligned(fromByteOffset: place + 12, as: UInt32.self))
                guard mask & UInt32(IN_Q_OVERFLOW) == 0 else { throw BenchError("inotify lost events") }
                let name = buffer[place + 16..<place + 16 + length].prefix { $0 != 0 }
                if let directory = directories[watch], !name.isEmpty {
                    paths.append("\(directory)/\(String(decoding: name, as: UTF8.self))")
                }
                place += 16 + length
            }
        }
    }
}

/// What programs read that start from mounted images in turns, each on a worker without an L1 of its own before, with a
/// pull of a whole image after each round: recorded where they read, in L3.
func recordedTrace(_ images: [StartImage], _ workspace: Workspace) throws -> AccessTrace {
    let deployment = try Deployment(workspace)
    let l3 = workspace.fresh("recorded-l3")
    for image in images { _ = try deployment.push("oci:\(image.source)", as: "bench/\(image.name):1", to: l3) }
    let watch = try ReadWatch(l3: l3)
    var trace = AccessTrace(name: "recorded starts")
    var objects: [String: Int] = [:]
    func record() throws {
        // A start reads a chunk once, as the store counts it.
        var seen: Set<String> = []
        for path in try watch.take() where seen.insert(path).inserted {
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            let object = objects[path] ?? trace.addObject(size: (attributes[.size] as? NSNumber)?.intValue ?? 1)
            objects[path] = object
            trace.read(object)
        }
    }
    for _ in 0..<(workspace.quick ? 2 : 4) {
        for image in images {
            let worker = try Worker(workspace, l1: workspace.fresh("recorded-l1"), l2: nil, deployment, l3: l3)
            defer { worker.stop() }
            let directory = workspace.fresh("mount")
            _ = try worker.mount("bench/\(image.name):1", at: directory, prefetch: .none)
            do {
                defer { Host.unmount(directory) }
                _ = try workspace.firstOutput(image.command(in: directory))
            }
            try record()
        }
        if let image = images.first {
            _ = try workspace.layercache(
                ["pull", "bench/\(image.name):1", "oci-archive:\(workspace.fresh("pulled"))", "--l3", l3] + [
                    "--keyring", deployment.keyring, "--quiet",
                ])
            try record()
        }
    }
    return trace
}
