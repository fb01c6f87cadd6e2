package import CacheBase
internal import Glibc

/// A Unix stream socket that listens under a path in the file system, to which only this user and root can connect.
///
/// The descriptor is handed to who accepts connections; ``remove()`` takes the name away again.
package struct BoundSocket: Sendable {
    /// Listens already, so that a program that finds the name also finds who answers. Owned by who takes it.
    package let descriptor: Descriptor
    package let path: String
    private let identity: FileStatus.Identity

    /// As many connections as the kernel keeps for who has not accepted them yet.
    private static let backlog: Int32 = 128

    /// Makes a socket under `path`, mode 0600 from its first moment on. A socket that a dead process left there is
    /// replaced; one behind which somebody listens, and a file of another kind, are not.
    ///
    /// - Throws: `.invalidInput` for a path that does not fit into an address, `.conflict` if the name is taken, else
    ///   `.io`.
    package static func bind(_ path: String) throws(CacheError) -> BoundSocket {
        var address = try address(of: path)
        try makeRoom(at: path, &address)
        return try reporting("cannot listen on \(path)") { () throws(Errno) in
            let descriptor = try open()
            do throws(Errno) {
                // Linux gives the name the mode that the socket has before.
                try retrying { fchmod(descriptor.rawValue, 0o600) }
                try call(descriptor, &address, Glibc.bind)
                try retrying { Glibc.listen(descriptor.rawValue, backlog) }
                let status = try Descriptor.workingDirectory.status(of: path)
                return BoundSocket(descriptor: descriptor, path: path, identity: status.identity)
            } catch {
                descriptor.close()
                throw error
            }
        }
    }

    /// Removes the name, unless it is another one's by now. To be called while the descriptor is open: until then no
    /// other socket has this one's identity, and nobody else takes the name.
    package func remove() {
        do throws(Errno) {
            guard try Descriptor.workingDirectory.status(of: path).identity == identity else { return }
            try Descriptor.workingDirectory.remove(path)
        } catch {
            // Already gone, or in a directory that is: the next one to listen here replaces it.
        }
    }

    /// Sees that nobody has the name.
    private static func makeRoom(at path: String, _ address: inout sockaddr_un) throws(CacheError) {
        let kind: FileStatus.Kind
        do throws(Errno) {
            kind = try Descriptor.workingDirectory.status(of: path).kind
        } catch .noSuchFile {
            return
        } catch {
            throw .system("cannot listen on \(path)", error)
        }
        guard kind == .socket else {
            throw CacheError(.conflict, "\(path) is there and no socket: name another path or move it away")
        }
        if try reporting("cannot connect to \(path)", { () throws(Errno) in try isAlive(&address) }) {
            throw CacheError(.conflict, "somebody listens on \(path) already: name another path or stop that program")
        }
        try reporting("cannot replace \(path), a socket that nobody listens on") { () throws(Errno) in
            try Descriptor.workingDirectory.remove(path)
        }
    }

    private static func isAlive(_ address: inout sockaddr_un) throws(Errno) -> Bool {
        let probe = try open(SOCK_NONBLOCK.rawValue)
        defer { probe.close() }
        do throws(Errno) {
            try call(probe, &address, Glibc.connect)
            return true
        } catch .connectionRefused {
            return false
        } catch .noSuchFile {
            return false
        } catch .wouldBlock {
            // So many wait for it that the queue is full.
            return true
        }
    }

    private static func open(_ flags: UInt32 = 0) throws(Errno) -> Descriptor {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | flags)
        return Descriptor(rawValue: try retrying { Glibc.socket(AF_UNIX, type, 0) })
    }

    private static func call(
        _ socket: Descriptor, _ address: inout sockaddr_un,
        _ function: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws(Errno) {
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { function(socket.rawValue, $0, size) }
        }
        if result != 0 { throw Errno.current }
    }

    private static func address(of path: String) throws(CacheError) -> sockaddr_un {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path) - 1
        let bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count <= room, !bytes.contains(0) else {
            throw CacheError(.invalidInput, "'\(path)' is no path for a socket: it must have 1 to \(room) bytes")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return address
    }
}
