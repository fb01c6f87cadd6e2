"""One image of four layers with every oddity that real images have, and that a tar can hold: sockets are in none."""
import random

import cases
from headers import header, pad, pax, pax_sparse

CHUNK = 512 * 1024
SIZES = [0, 1, 4095, 4096, 4097, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 77]
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
END = bytes(1024)


def entry(name, kind=b"0", data=b"", link=b"", records=(), **fields):
    """One entry; its name and link go into pax records where a header has no room for them."""
    records = list(records)
    if len(name) > 100:
        records.append((b"path", name))
    if len(link) > 100:
        records.append((b"linkpath", link))
    return (pax(records) if records else b"") + header(name, kind, len(data), link=link, **fields) + pad(data)


def directory(name, **fields):
    return entry(name + b"/", b"5", mode=fields.pop("mode", 0o755), **fields)


def attribute(name, value):
    return (b"SCHILY.xattr." + name, value)


def files(rng):
    yield directory(b"sizes")
    for size in SIZES:
        yield entry(b"sizes/%d" % size, data=rng.randbytes(size))
        yield entry(b"sizes/zeros-%d" % size, data=bytes(size))
    for number, segments in enumerate([
            [(0, 512), (1536, 1024), (CHUNK * 2 + 512, 3072)], [(4096, 4096)], [(CHUNK - 512, 1024)], []]):
        size = CHUNK * 3 + 12345
        # GNU tar makes no file longer than where its last segment ends, and always writes one that says so.
        segments = segments + [(size, 0)]
        stored = rng.randbytes(sum(length for _, length in segments))
        yield pax_sparse("1.0", b"sizes/sparse-%d" % number, size, segments, stored)


def kinds(rng):
    yield directory(b"kinds", mode=0o1777)
    yield entry(b"kinds/fifo", b"6")
    yield entry(b"kinds/character", b"3", device=(5, 1))
    yield entry(b"kinds/block", b"4", device=(259, 1))
    yield entry(b"kinds/numbers", b"3", device=(4095, 1048575), mode=0)
    yield entry(b"kinds/setuid", data=b"x", mode=0o6755, uid=5, gid=6)
    yield entry(b"kinds/nothing", data=b"x", mode=0)
    yield entry(b"kinds/link", b"2", link=b"../sizes/1")
    yield entry(b"kinds/dangling", b"2", link=b"/no/where")
    yield entry(b"kinds/long", b"2", link=b"l/" * 1900)
    yield directory(b"kinds/empty", mode=0o700)
    yield entry(b"kinds/owner", data=b"x", records=[(b"uid", b"2147483648"), (b"gid", b"4294967294")])
    for number, time in enumerate([b"-1.5", b"-1000000000", b"0", b"0.000000001", b"1500000000.123456789", b"4102444800.999999999"]):
        yield entry(b"kinds/time-%d" % number, data=b"t", records=[(b"mtime", time)])
        yield directory(b"kinds/time-directory-%d" % number, records=[(b"mtime", time)])
    yield entry(b"kinds/capable", data=b"program", mode=0o755, records=[attribute(b"security.capability", CAPABILITY)])
    yield entry(b"kinds/attributes", data=b"x", records=[
        attribute(b"user.n", b"v"), attribute(b"user.zero", b"a\0b\n="), attribute("user.ü".encode(), b"\xff" * 50),
        attribute(b"trusted.x", b"v"), attribute(b"user." + b"n" * 200, b"long"), attribute(b"user.value", rng.randbytes(1500))])
    yield directory(b"kinds/attributes-directory", records=[attribute(b"user.n", b"v"), attribute(b"trusted.overlay.x", b"y")])
    yield entry(b"kinds/attributes-link", b"2", link=b"x", records=[attribute(b"trusted.x", b"v")])
    yield entry(b"kinds/attributes-fifo", b"6", records=[attribute(b"trusted.x", b"v")])
    yield entry(b"kinds/listed", data=b"x", records=[attribute(b"system.posix_acl_access", cases.acl(rng))])


def names(rng):
    yield directory(b"names")
    for name in [b"n" * 255, b"with space", b"new\nline", b"back\\slash", b"\xff\xfe", "ü".encode(), b"..dots", b"-dash", b"*", b"a:b"]:
        yield entry(b"names/" + name, data=name)
    deep = b"names/" + b"/".join([b"d" * 60] * 50)
    yield directory(deep)
    yield entry(deep + b"/leaf", data=b"deep")


def many(count):
    yield directory(b"many")
    for number in range(count):
        yield header(b"many/file-%06d" % number, b"0", 0, mode=0o644, mtime=1600000000 + number % 1000)


def links():
    yield directory(b"a")
    yield directory(b"b")
    yield entry(b"a/one", data=b"one inode")
    yield entry(b"b/two", b"1", link=b"a/one")
    yield entry(b"three", b"1", link=b"a/one")
    yield entry(b"a/empty", data=b"")
    yield entry(b"b/empty", b"1", link=b"a/empty")


def changing():
    """What later layers replace or take away."""
    for name in [b"c/file-then-directory", b"c/gone", b"c/gone-and-back", b"o/below", b"o/deeper/below", b"c/kept"]:
        yield entry(name, data=name)
    yield directory(b"c/directory-then-file")
    yield entry(b"c/directory-then-file/inside", data=b"inside")
    yield entry(b"c/directory-then-link/inside", data=b"inside")


def layers(count=100_000):
    """The layers as whole tars, the lowest first; `count`: files in one directory."""
    rng = random.Random(8)
    lowest = [*files(rng), *kinds(rng), *names(rng), *many(count), *links(), *changing()]
    second = [
        entry(b"a/across-layers", b"1", link=b"b/two"),
        entry(b"c/.wh.gone"), entry(b"c/.wh.gone-and-back"), entry(b"c/.wh.never-was"),
        entry(b"c/.wh.file-then-directory"), directory(b"c/file-then-directory"),
        entry(b"c/file-then-directory/inside", data=b"inside"),
        entry(b"c/directory-then-file", data=b"file"), entry(b"c/directory-then-link", b"2", link=b"kept"),
        directory(b"o"), entry(b"o/.wh..wh..opq"), entry(b"o/new", data=b"new"),
    ]
    third = [
        entry(b"c/gone-and-back", data=b"back"),
        entry(b"c/.wh.file-then-directory"), entry(b"c/file-then-directory", data=b"file again"),
        entry(b"c/.wh.directory-then-file"), directory(b"c/directory-then-file", mode=0o711),
        entry(b"o/.wh.new"), entry(b"o/below", data=b"another"),
        entry(b"many/.wh.file-000007"), entry(b"many/file-000008", data=b"changed"),
    ]
    fourth = [
        # What took a name away is taken away itself, and comes back.
        entry(b"o/.wh.new"), entry(b"o/new", data=b"newest"), entry(b"c/.wh.gone"), entry(b"c/.wh.gone-and-back"),
        entry(b"b/.wh.two"), entry(b"b/late", b"1", link=b"three"),
    ]
    return [b"".join(pieces) + END for pieces in (lowest, second, third, fourth)]
