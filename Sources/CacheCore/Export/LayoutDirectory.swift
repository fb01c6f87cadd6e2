internal import Glibc

/// An OCI layout in a directory, new or existing: blobs are renamed into place, `index.json` is replaced last.
final class LayoutDirectory: LayoutSink {
    private let path: String
    private let limits: ImportLimits
    private let root: OpenFile
    private let blobs: OpenFile
    /// Directories that were made here, to be removed if nothing comes of it.
    private var made: [String] = []
    private var finished = false

    init(_ path: String, limits: ImportLimits) throws {
        self.path = path
        self.limits = limits
        var made: [String] = []
        do {
            for directory in [path, "\(path)/blobs", "\(path)/blobs/sha256"] {
                if mkdir(directory, 0o777) == 0 {
                    made.append(directory)
                } else if errno != EEXIST {
                    throw CacheError.system("make the directory \(directory)")
                }
                if directory == path { try Self.check(path) }
            }
            root = try OpenFile.open(path, O_RDONLY | O_DIRECTORY)
            blobs = try root.openEntry("blobs", O_RDONLY | O_DIRECTORY).openEntry("sha256", O_RDONLY | O_DIRECTORY)
        } catch {
            for directory in made.reversed() { rmdir(directory) }
            throw error
        }
        self.made = made
    }

    /// Only an empty directory or a layout may be written to: nobody wants blobs among their files.
    private static func check(_ path: String) throws {
        let directory = try OpenFile.open(path, O_RDONLY | O_DIRECTORY)
        let names = try directory.entryNames(atMost: Int.max)
        guard names.isEmpty || names.contains(FileName("oci-layout")) || names.contains(FileName("index.json")) else {
            throw CacheError(
                .invalidInput, "\(path) holds other files and is no OCI image layout: name a new directory")
        }
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
        try retryingInterrupts("lock \(path)") { flock(root.descriptor, LOCK_EX) }
        try put(JSONDocument.encode(OCILayoutMarker(imageLayoutVersion: "1.0.0")), as: "oci-layout", in: root)
        try put(JSONDocument.encode(mergedIndex(manifest)), as: "index.json", in: root)
        finished = true
    }

    /// The index as it is, with what it says of images that we know nothing about, and `manifest` in the place of its tag.
    private func mergedIndex(_ manifest: OCIDescriptor) throws -> JSONValue {
        var index: [String: JSONValue] = [
            "schemaVersion": .integer(2), "mediaType": .string(OCIMediaType.index), "manifests": .array([]),
        ]
        if let range = try LayoutFiles.directory(path).find("index.json") {
            let bytes = try range.readAll(atMost: limits.documentBytes)
            index = try JSONDocument.decode(
                [String: JSONValue].self, from: bytes, name: range.file.name, limits: limits)
        }
        guard case .array(var manifests)? = index["manifests"] else {
            throw CacheError(.invalidInput, "\(path)/index.json is not what it should be: 'manifests' is missing")
        }
        let encoded = try JSONDocument.encode(manifest)
        let tag = manifest.annotations?[OCIAnnotation.referenceName]
        manifests.removeAll { Self.tag(of: $0) == tag }
        manifests.append(try JSONDocument.decode(JSONValue.self, from: encoded, name: "index", limits: limits))
        index["manifests"] = .array(manifests)
        return .object(index)
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
        let temporary = TemporaryName.unique()
        let descriptor = try retryingInterrupts("write \(directory.name)/\(name)") {
            openat(directory.descriptor, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o666)
        }
        do {
            let result = try write(OpenFile(adopting: descriptor, name: "\(directory.name)/\(name)"))
            try retryingInterrupts("rename to \(directory.name)/\(name)") {
                renameat(directory.descriptor, temporary, directory.descriptor, name)
            }
            return result
        } catch {
            unlinkat(directory.descriptor, temporary, 0)
            throw error
        }
    }

    deinit {
        // Complete blobs of a pull that failed stay in a layout that existed; a layout that is all ours goes.
        guard !finished, made.contains(path) else { return }
        try? root.removeContents()
        rmdir(path)
    }
}
