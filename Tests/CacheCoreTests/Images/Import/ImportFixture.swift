import CacheCore
import Foundation
import Glibc
import TestSupport

/// A directory for one test, with the shell and Python to fill it; removed at the end.
final class ImportFixture {
    private let directory: TemporaryDirectory

    var path: String { directory.path }

    init() throws { directory = try TemporaryDirectory() }

    func callAsFunction(_ name: String) -> String { directory(name) }

    @discardableResult
    func shell(_ script: String) throws -> String { try directory.shell(script) }

    @discardableResult
    func python(_ script: String) throws -> String { try directory.python(Self.pythonPrelude + script) }

    /// `oci(directory, [(tag, [layer bytes or (media type suffix, bytes)])])` builds a layout independently of the code
    /// under test.
    private static let pythonPrelude = #"""
        import io, os, sys
        class Lazy:
            """A module that is imported when it is used: most scripts need few of them, and they take longer than \#
        Python itself."""
            def __init__(self, name): self._name = name
            def __getattr__(self, attribute): return getattr(__import__(self._name), attribute)
        gzip, hashlib, json, random, struct, subprocess, tarfile, zipfile, zlib = map(
            Lazy, 'gzip hashlib json random struct subprocess tarfile zipfile zlib'.split())
        def sha(b): return hashlib.sha256(b).hexdigest()
        def tar(*names, fmt=1, big=0):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode='w', format=fmt) as t:
                for n in names:
                    data = (n * 1000).encode() + os.urandom(big)
                    info = tarfile.TarInfo(n); info.size = len(data); info.mtime = 1700000000
                    t.addfile(info, io.BytesIO(data))
            return out.getvalue()
        def gz(b): return gzip.compress(b, 1)
        def zstd(b): return subprocess.run(['zstd', '-qc'], input=b, stdout=subprocess.PIPE, check=True).stdout
        M = 'application/vnd.oci.image.'
        def put(d, b):
            os.makedirs(d + '/blobs/sha256', exist_ok=True)
            open(d + '/blobs/sha256/' + sha(b), 'wb').write(b)
            return {'digest': 'sha256:' + sha(b), 'size': len(b)}
        def image(d, layers, config_extra={}, suffixes=None, manifest_type=M + 'manifest.v1+json', layer_type=M + \#
        'layer.v1.tar'):
            """layers: uncompressed tars; suffixes: '' '+gzip' '+zstd' for each."""
            suffixes = suffixes or [''] * len(layers)
            packed = [{'': lambda b: b, '+gzip': gz, '.gzip': gz, '+zstd': zstd}[s](l) for s, l in zip(suffixes, \#
        layers)]
            config = {'architecture': 'amd64', 'os': 'linux', 'created': '2020-01-01T00:00:00Z',
                      'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + sha(l) for l in layers]}}
            config.update(config_extra)
            manifest = {'schemaVersion': 2, 'mediaType': manifest_type,
                'config': dict(put(d, json.dumps(config, indent=3).encode()), mediaType=M + 'config.v1+json'),
                'layers': [dict(put(d, p), mediaType=layer_type + s) for s, p in zip(suffixes, packed)]}
            return dict(put(d, json.dumps(manifest).encode()), mediaType=manifest_type)
        def layout(d, manifests):
            open(d + '/oci-layout', 'w').write('{"imageLayoutVersion": "1.0.0"}')
            open(d + '/index.json', 'w').write(json.dumps({'schemaVersion': 2, 'manifests': manifests}))
        def tagged(m, tag): return dict(m, annotations={'org.opencontainers.image.ref.name': tag})

        """#
}

extension ByteSource {
    /// All that is left, read in pieces of odd sizes.
    func readAll() throws -> [UInt8] {
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 100_003)
        while true {
            let count = try buffer.withUnsafeMutableBytes { try read(into: $0) }
            if count == 0 { return result }
            buffer.withUnsafeBytes { result.append(contentsOf: $0.prefix(count)) }
        }
    }
}

extension SHA256Digest {
    init(of bytes: [UInt8]) { self = bytes.withUnsafeBytes { SHA256Digest(hashing: $0) } }
}

/// Bytes in memory as a source, in pieces of at most `piece`.
final class PiecewiseSource: ByteSource {
    private var rest: ArraySlice<UInt8>
    private let piece: Int

    init(_ bytes: [UInt8], piece: Int = 1 << 20) {
        rest = bytes[...]
        self.piece = piece
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = min(piece, buffer.count, rest.count)
        buffer.copyBytes(from: rest.prefix(count))
        rest = rest.dropFirst(count)
        return count
    }
}

func fileBytes(_ path: String) throws -> [UInt8] { try [UInt8](Data(contentsOf: URL(fileURLWithPath: path))) }

/// The error that `body` throws, which must be a ``CacheError`` of one line.
func cacheError(_ body: () throws -> Void) -> CacheError? {
    do {
        try body()
        return nil
    } catch let error as CacheError {
        return error.description.contains("\n") ? nil : error
    } catch {
        return nil
    }
}
