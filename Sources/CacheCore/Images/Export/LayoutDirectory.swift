internal import CacheBase
internal import CacheCrypto
internal import CacheFiles

/// An OCI layout in a directory, new or existing: blobs are renamed into place, `index.json` is replaced last.
final class LayoutDirectory: LayoutSink {
    private let path: String
    private let limits: ImportLimits
    private let root: OpenFile
    private let blobs: OpenFile
    /// Whether it was empty: then it is emptied again if the pull fails.
    private var wasEmpty = false
    /// The directory itself was made here.
    private var wasMade = false
    private var finished = false

    init(_ path: String, limits: ImportLimits) throws {
        self.path = path
        self.limits = limits
        var made: [String] = []
        do {
            if try Self.make(path) { made.append(path) }
            root = try OpenFile.open(path, .directory)
            TemporaryEntry.removeAbandoned(in: root, prefix: TemporaryName.insidePrefix)
            let wasEmpty = try Self.check(root)
            // A layout that cannot be written to is found out now rather than when all has been pulled.
            _ = try OCILayoutMarker.check(.directory(root), limits: limits)
            _ = try Self.index(of: root, limits: limits)
            for directory in ["\(path)/blobs", "\(path)/blobs/sha256"] where try Self.make(directory) {
                made.append(directory)
            }
            blobs = try root.openEntry("blobs", .directory).openEntry("sha256", .directory)
            // All pulls that are at work here hold this lock together; without locks, none is known to be the only one.
            self.wasEmpty = Self.lock(blobs, .shared) && wasEmpty
        } catch {
            for directory in made.reversed() { Self.removeDirectory(directory) }
            throw error
        }
        wasMade = made.contains(path)
        TemporaryEntry.removeAbandoned(in: blobs, prefix: TemporaryName.insidePrefix)
    }

    /// - Returns: false if it was there already.
    private static func make(_ directory: String) throws(CacheError) -> Bool {
        do throws(Errno) {
            try Descriptor.workingDirectory.makeDirectory(directory, mode: 0o777)
            return true
        } catch .alreadyExists {
            return false
        } catch {
            throw CacheError.system("make the directory \(directory)", error)
        }
    }

    /// Best effort: what is in use, or gone, stays as it is.
    private static func removeDirectory(_ directory: String) {
        do throws(Errno) { try Descriptor.workingDirectory.removeDirectory(directory) } catch {}
    }

    /// False if another one has it, or where the filesystem has no locks.
    private static func lock(_ directory: OpenFile, _ mode: FileLock.Mode) -> Bool {
        do throws(Errno) { return try FileLock.attempt(directory.descriptor, mode) } catch { return false }
    }

    /// Only an empty directory or a layout may be written to, so that blobs do not end up among other files.
    /// What a killed pull has begun counts as a layout, too.
    /// - Returns: whether it is empty.
    private static func check(_ directory: OpenFile) throws -> Bool {
        var isLayout = false
        var isEmpty = true
        var stranger: FileName?
        try directory.forEachEntry { name, _ in
            if [FileName("oci-layout"), FileName("index.json")].contains(name) { isLayout = true }
            let isOurs = name == FileName("blobs") || name.bytes.starts(with: TemporaryName.insidePrefix.utf8)
            if !isOurs { stranger = name }
            isEmpty = false
            return !isLayout
        }
        if isLayout { return false }
        // `blobs` may be another program's; in one that a pull has begun there is nothing but `sha256`.
        if stranger == nil, try directory.statusOfEntry(FileName("blobs")) != nil {
            let blobs = try directory.openEntry("blobs", .directory)
            stranger = try blobs.entryNames(atMost: Int.max).first { $0 != FileName("sha256") }
        }
        guard stranger == nil else {
            throw CacheError(
                .invalidInput, "\(directory.name) holds other files and is no OCI image layout: name a new directory")
        }
        return isEmpty
    }

    func putBlob(_ source: any ByteSource, digest: SHA256Digest) throws -> Int {
        try replace(digest.hex, in: blobs) { file in
            let output = SequentialOutput(file)
            let size = try source.drain { try output.write($0) }
            try output.finish()
            return size
        }
    }

    func putBlob(_ bytes: [UInt8], digest: SHA256Digest) throws {
        try put(bytes, as: digest.hex, in: blobs)
    }

    func finish(manifest: OCIDescriptor) throws {
        // Two pulls into one layout must not lose each other's image.
        try FileLock.lock(root.descriptor, path: path)
        // A marker that is there stays as it is: its writer may have put more into it.
        if try !OCILayoutMarker.check(.directory(root), limits: limits) {
            try put(JSONDocument.encode(OCILayoutMarker.current), as: "oci-layout", in: root)
        }
        try put(JSONDocument.encode(mergedIndex(manifest)), as: "index.json", in: root)
        finished = true
    }

    /// The index as it is, with what it says of images that we know nothing about, and `manifest` in the place of its
    /// tag.
    private func mergedIndex(_ manifest: OCIDescriptor) throws -> JSONValue {
        var index =
            try Self.index(of: root, limits: limits) ?? [
                "schemaVersion": .integer(2), "mediaType": .string(OCIMediaType.index),
            ]
        var manifests: [JSONValue]
        switch index["manifests"] {
        case .array(let listed)?: manifests = listed
        case .null?, nil: manifests = []
        default: throw CacheError(.invalidInput, "\(path)/index.json is not what it should be: 'manifests' is no list")
        }
        let encoded = try JSONDocument.encode(manifest)
        let tag = manifest.annotation(OCIAnnotation.referenceName)
        manifests.removeAll { Self.tag(of: $0) == tag }
        manifests.append(try JSONDocument.decode(JSONValue.self, from: encoded, name: "index", limits: limits.json))
        index["manifests"] = .array(manifests)
        return .object(index)
    }

    /// What `index.json` says; `nil` if there is none.
    private static func index(of directory: OpenFile, limits: ImportLimits) throws -> [String: JSONValue]? {
        guard let range = try LayoutFiles.directory(directory).find("index.json") else { return nil }
        let bytes = try range.readDocument(limits.json)
        let index = try JSONDocument.decode(
            [String: JSONValue].self, from: bytes, name: range.file.name, limits: limits.json)
        if let version = index["schemaVersion"], version != .integer(2) {
            throw CacheError(
                .unsupported, "\(range.file.name) has another schema version than 2: name another directory")
        }
        return index
    }

    private static func tag(of manifest: JSONValue) -> String? {
        guard case .object(let fields) = manifest, case .object(let annotations)? = fields["annotations"],
            case .string(let tag)? = annotations[OCIAnnotation.referenceName]
        else { return nil }
        return tag
    }

    private func put(_ bytes: [UInt8], as name: String, in directory: OpenFile) throws {
        try replace(name, in: directory) { file in try bytes.withUnsafeBytes { try file.write($0) } }
    }

    /// Writes a file under a name of its own and then renames it.
    private func replace<Result>(
        _ name: String, in directory: OpenFile, _ write: (OpenFile) throws -> Result
    ) throws -> Result {
        let temporary = try TemporaryEntry.file(in: directory, for: name, mode: 0o666)
        do {
            let result = try write(temporary.file)
            try reporting("rename to \(directory.name)/\(name)") { () throws(Errno) in try temporary.rename(to: name) }
            return result
        } catch {
            temporary.discard()
            throw error
        }
    }

    private var hasNoImage: Bool {
        do { return try root.statusOfEntry(FileName("index.json")) == nil } catch { return false }
    }

    deinit {
        // Complete blobs of a pull that failed stay in a layout that existed; one that is all ours goes, unless others
        // are at work in it or have finished their image.
        guard !finished, wasEmpty, Self.lock(root, .exclusive), Self.lock(blobs, .exclusive), hasNoImage else { return }
        try? root.removeContents()
        if wasMade { Self.removeDirectory(path) }
    }
}
