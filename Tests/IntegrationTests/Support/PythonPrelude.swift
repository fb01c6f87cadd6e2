/// Builders of images in Python, whose tarfile and zipfile are other people's writers and so a fair source.
enum PythonPrelude {
    static let text = #"""
        import io
        class Lazy:
            """A module that is imported when it is used: most scripts need few of them, and they take longer than \#
        Python itself."""
            def __init__(self, name): self._name = name
            def __getattr__(self, attribute): return getattr(__import__(self._name), attribute)
        gzip, hashlib, json, random, shutil, subprocess, tarfile, zipfile = map(
            Lazy, 'gzip hashlib json random shutil subprocess tarfile zipfile'.split())
        def sha(b): return hashlib.sha256(b).hexdigest()
        def noise(seed, n): return random.Random(seed).randbytes(n)
        def text(seed, n): return (b'%d line of program text that compresses well\n' % seed * (n // 40 + 1))[:n]
        def tar(files, format=None):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode='w', format=format) as t:
                for name, data in files:
                    info = tarfile.TarInfo(name)
                    info.size = len(data); info.mtime = 1700000000; info.mode = 0o644
                    t.addfile(info, io.BytesIO(data))
            return out.getvalue()
        def zstd(b): return subprocess.run(['zstd', '-qc'], input=b, stdout=subprocess.PIPE, check=True).stdout
        def write(path, b):
            os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
            with open(path, 'wb') as f: f.write(b)
        M = 'application/vnd.oci.image.'
        def put(d, b):
            write(d + '/blobs/sha256/' + sha(b), b)
            return {'digest': 'sha256:' + sha(b), 'size': len(b)}
        def image(d, layers, suffixes=None, tag='latest', env=['PATH=/bin']):
            """An OCI layout: uncompressed tars, and '', '+gzip' or '+zstd' for each."""
            suffixes = suffixes or [''] * len(layers)
            pack = {'': lambda b: b, '+gzip': lambda b: gzip.compress(b, 1), '+zstd': zstd}
            config = {'architecture': 'amd64', 'os': 'linux', 'config': {'Env': env},
                      'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + sha(l) for l in layers]}}
            manifest = {'schemaVersion': 2, 'mediaType': M + 'manifest.v1+json',
                'config': dict(put(d, json.dumps(config, indent=3).encode()), mediaType=M + 'config.v1+json'),
                'layers': [dict(put(d, pack[s](l)), mediaType=M + 'layer.v1.tar' + s) for s, l in zip(suffixes, \#
        layers)]}
            m = dict(put(d, json.dumps(manifest).encode()), mediaType=M + 'manifest.v1+json')
            m['annotations'] = {'org.opencontainers.image.ref.name': tag}
            write(d + '/oci-layout', b'{"imageLayoutVersion": "1.0.0"}')
            write(d + '/index.json', json.dumps({'schemaVersion': 2, 'manifests': [m]}).encode())
        def truth(d):
            """Config digest and diffIDs of a layout, computed from its blobs: every digest on the way is checked."""
            blob = lambda x: open(d + '/blobs/sha256/' + x['digest'][7:], 'rb').read()
            index = json.load(open(d + '/index.json'))
            manifest = blob(index['manifests'][0])
            assert 'sha256:' + sha(manifest) == index['manifests'][0]['digest']
            manifest = json.loads(manifest)
            assert 'sha256:' + sha(blob(manifest['config'])) == manifest['config']['digest']
            ids = []
            for l in manifest['layers']:
                b = blob(l)
                assert 'sha256:' + sha(b) == l['digest'] and len(b) == l['size']
                if b[:2] == b'\x1f\x8b': b = gzip.decompress(b)
                elif b[:4] == b'\x28\xb5\x2f\xfd': b = subprocess.run(['zstd', '-dqc'], input=b, \#
        stdout=subprocess.PIPE, check=True).stdout
                ids.append('sha256:' + sha(b))
            assert ids == json.loads(blob(manifest['config']))['rootfs']['diff_ids']
            print(manifest['config']['digest'], *ids)
        base = lambda: tar([('etc/os-release', b'NAME=test\n'), ('usr/lib/libbig.so', noise(1, 1700000)), \#
        ('usr/lib/liba.so', noise(2, 90000)),
                            ('usr/share/text', text(3, 700000)), ('var/zeros', bytes(1200000)), ('empty', b'')])
        app = lambda: tar([('app/main.py', b'print(1)\n'), ('app/data.bin', noise(4, 600000)), ('app/small', noise(5, \#
        5000))])

        """#
}
