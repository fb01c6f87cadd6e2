"""The images of a soak run: made from seeds, with a model of what each is once it is pulled."""
import gzip
import hashlib
import io
import json
import os
import random
import stat
import tarfile
from pathlib import Path

MTIME = 1_700_000_000


class Wrong(Exception):
    """What a pull gave is not what was pushed."""


def digest_of(path):
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            sha.update(piece)
    return sha.hexdigest()


def content(seed, size):
    """Bytes that do not compress, bytes that do, or none but zeros: images hold all of them."""
    kind = seed % 4
    if kind == 3:
        return bytes(size)
    if kind == 2:
        return (b"%d: a line that compresses well\n" % seed * (size // 30 + 1))[:size]
    return random.Random(seed).randbytes(size)


class Entry:
    """One name of a layer. `link` is what a symbolic link leads to, or which file a hard link shares."""

    def __init__(self, name, kind, mode=0o644, seed=0, size=0, link="", owner=0):
        self.name, self.kind, self.mode, self.seed, self.size = name, kind, mode, seed, size
        self.link, self.owner = link, owner
        self.mtime = MTIME + seed % 1000

    def write(self, tar):
        info = tarfile.TarInfo(self.name)
        info.type = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE,
                     "hardlink": tarfile.LNKTYPE}[self.kind]
        info.mode, info.mtime, info.uid, info.gid, info.linkname = self.mode, self.mtime, self.owner, self.owner, self.link
        data = content(self.seed, self.size) if self.kind == "file" else b""
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
        self.digest = hashlib.sha256(data).hexdigest()


class Layer:
    """A tar on disk and the entries in it."""

    def __init__(self, path, entries):
        self.path, self.entries = path, entries
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            for entry in entries:
                entry.write(tar)
        self.diff_id = "sha256:" + digest_of(path)


def random_layer(path, seed, megabytes):
    """Directories of files of many sizes, with links among them; about `megabytes` of content."""
    generator = random.Random(seed)
    entries, left, number = [], megabytes << 20, 0
    for place in range(4):
        directory = f"d{seed % 100}-{place}"
        entries.append(Entry(directory, "dir", 0o755, seed + place))
        names = []
        while not names or left > (megabytes << 20) * (3 - place) // 4:
            number += 1
            size = min(max(left, 0), generator.choice([0, 700, 9_000, 70_000, 300_000, 524_288, 1_500_000, 5_000_000]))
            left -= max(size, 5_000)
            name = f"{directory}/f{number}"
            mode = generator.choice([0o644, 0o755, 0o600, 0o4755])
            entries.append(Entry(name, "file", mode, seed * 1000 + number, size, owner=generator.choice([0, 1000])))
            names.append(name)
        entries.append(Entry(f"{directory}/hard", "hardlink", link=names[0]))
        entries.append(Entry(f"{directory}/soft", "symlink", 0o777, link="../" + names[-1]))
    return Layer(path, entries)


def change_of(layer, path, seed):
    """A layer above `layer` that replaces, adds and removes some of its names."""
    files = [entry.name for entry in layer.entries if entry.kind == "file"]
    generator = random.Random(seed)
    first, second, third = generator.sample(files, 3)
    entries = [
        Entry(first, "file", 0o640, seed, 123_456),
        Entry("new", "dir", 0o750, seed), Entry("new/file", "file", 0o600, seed + 1, 2_000_000),
        Entry(os.path.dirname(second) + "/.wh." + os.path.basename(second), "file"),
        Entry(third, "symlink", 0o777, seed, link="/nowhere"),
    ]
    return Layer(path, entries)


class Image:
    """Base of the kinds: a source for `push`, the destinations that `pull` takes for it, and a check of each."""
    forms = ()
    source = ""

    def check(self, form, path):
        getattr(self, "check_" + form.replace("-", "_"))(path)


class RawFile(Image):
    """`file:`, with holes of zeros between what is not."""
    forms = ("file",)

    def __init__(self, path, seed, megabytes):
        with open(path, "wb") as file:
            for number in range(megabytes):
                file.write(content(seed * 100 + number, 1 << 20))
        self.source, self.digest = f"file:{path}", digest_of(path)

    def check_file(self, path):
        if digest_of(path) != self.digest:
            raise Wrong(f"{path} has other bytes than {self.source}")


class Layered(Image):
    """An OCI layout of several layers, or one tar."""

    def __init__(self, layers, layout=None):
        self.layers = layers
        self.tree = merged(layers)
        if layout is None:
            self.source, self.forms = f"tar:{layers[0].path}", ("tar", "dir", "oci")
        else:
            write_layout(layout, layers)
            self.source, self.forms = f"oci:{layout}:latest", ("dir", "oci")

    def check_tar(self, path):
        if "sha256:" + digest_of(path) != self.layers[0].diff_id:
            raise Wrong(f"{path} is not {self.source}")

    def check_oci(self, path):
        blobs = Path(path) / "blobs" / "sha256"

        def blob(descriptor):
            name = descriptor["digest"].removeprefix("sha256:")
            if digest_of(blobs / name) != name:
                raise Wrong(f"{path}: blob {name} is not what its name says")
            return blobs / name

        [entry] = json.loads((Path(path) / "index.json").read_text())["manifests"]
        manifest = json.loads(blob(entry).read_text())
        found = ["sha256:" + digest_of(blob(layer)) for layer in manifest["layers"]]
        wanted = [layer.diff_id for layer in self.layers]
        if "config" in manifest and self.source.startswith("oci:"):
            if json.loads(blob(manifest["config"]).read_text())["rootfs"]["diff_ids"] != wanted:
                raise Wrong(f"{path}: the configuration names other layers")
        if found != wanted:
            raise Wrong(f"{path} has the layers {found} instead of {wanted}")

    def check_dir(self, path):
        found = {}
        for root, directories, files in os.walk(path):
            for name in directories + files:
                full = os.path.join(root, name)
                found[os.path.relpath(full, path)] = full
        if found.keys() != self.tree.keys():
            raise Wrong(f"{path} has other names: {sorted(found.keys() ^ self.tree.keys())[:5]}")
        for name, entry in self.tree.items():
            self.check_entry(found[name], entry)
        for entry in self.tree.values():
            if entry.kind == "hardlink" and entry.link in self.tree:
                if not os.path.samefile(found[entry.name], found[entry.link]):
                    raise Wrong(f"{found[entry.name]} is not one file with {entry.link}")

    @staticmethod
    def check_entry(path, entry):
        status = os.lstat(path)
        kind = {stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFREG: "file"}.get(stat.S_IFMT(status.st_mode))
        wanted = "file" if entry.kind == "hardlink" else entry.kind
        if kind != wanted:
            raise Wrong(f"{path} is a {kind} and should be a {wanted}")
        if entry.kind == "symlink" and os.readlink(path) != entry.link:
            raise Wrong(f"{path} leads elsewhere")
        if entry.kind == "file" and digest_of(path) != entry.digest:
            raise Wrong(f"{path} has wrong bytes")
        if entry.kind in ("file", "dir"):
            if int(status.st_mtime) != entry.mtime or stat.S_IMODE(status.st_mode) != entry.mode:
                raise Wrong(f"{path} has other attributes: {status}")
            if os.geteuid() == 0 and (status.st_uid, status.st_gid) != (entry.owner, entry.owner):
                raise Wrong(f"{path} has another owner: {status}")


def merged(layers):
    """What the layers are together, by name. Enough for the layers that are made here: whiteouts of files, replaced files."""
    tree = {}
    for layer in layers:
        for entry in layer.entries:
            name = os.path.basename(entry.name)
            if name.startswith(".wh."):
                tree.pop(os.path.join(os.path.dirname(entry.name), name.removeprefix(".wh.")), None)
            else:
                tree[entry.name] = entry
    # A hard link to a file that a layer above replaced or removed keeps the old file under its own name.
    for layer in layers:
        files = {entry.name: entry for entry in layer.entries}
        for entry in layer.entries:
            if entry.kind == "hardlink" and tree.get(entry.name) is entry and tree.get(entry.link) is not files[entry.link]:
                kept = files[entry.link]
                alone = Entry(entry.name, "file", kept.mode, kept.seed, kept.size, owner=kept.owner)
                alone.digest = kept.digest
                tree[entry.name] = alone
    return tree


def write_layout(layout, layers):
    blobs = Path(layout) / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data):
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"digest": "sha256:" + name, "size": len(data)}

    kind = "application/vnd.oci.image."
    config = {"architecture": "amd64", "os": "linux", "config": {},
              "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}}
    descriptors = []
    for number, layer in enumerate(layers):
        data = Path(layer.path).read_bytes()
        packed = gzip.compress(data, 1, mtime=0) if number % 2 else data
        descriptors.append(put(packed) | {"mediaType": kind + "layer.v1.tar" + ("+gzip" if number % 2 else "")})
    manifest = {"schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
                "config": put(json.dumps(config).encode()) | {"mediaType": kind + "config.v1+json"},
                "layers": descriptors}
    entry = put(json.dumps(manifest).encode()) | {"mediaType": kind + "manifest.v1+json"}
    entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (Path(layout) / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (Path(layout) / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


def make_all(directory, seed):
    """The images of a run by their refs; those of two tenants share layers, as images of one base do."""
    directory.mkdir()
    base = random_layer(directory / "base.tar", seed * 7 + 1, 32)
    app = random_layer(directory / "app.tar", seed * 7 + 2, 20)
    change = change_of(base, directory / "change.tar", seed * 7 + 3)
    other = change_of(base, directory / "other.tar", seed * 7 + 4)
    return {
        "acme/base:1": Layered([base]),
        "acme/app:1": Layered([base, change, app], directory / "app"),
        "acme/model:1": RawFile(directory / "model", seed * 7 + 5, 40),
        "rival/app:1": Layered([base, other], directory / "rival"),
        "rival/data:1": RawFile(directory / "data", seed * 7 + 6, 24),
    }
