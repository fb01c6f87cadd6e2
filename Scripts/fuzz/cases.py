"""Random cases. A case is a list of layers, a layer a list of pieces: bytes that are an entry with all that belongs to it."""
import struct

import headers
from headers import header, long_name, pad, pax

TIMES = [0, 1, 1600000000, 2**31, 2**33 - 1, 999999999]
NAMES = [b"a", b"b", b"c", b"d", b"with space", "ü".encode(), b"\xff\xfe", b"n" * 99, b"n" * 100, b"m" * 101, b"l" * 200]


def random_name(rng):
    parts = [rng.choice(NAMES) for _ in range(rng.choice([1, 1, 1, 2, 2, 3]))]
    if rng.random() < 0.03:
        parts = [b"deep"] * rng.randrange(20, 60) + parts
    return b"/".join(parts)


def dressed(rng, name, kind):
    """The same name as programs write it."""
    if rng.random() < 0.2:
        name = b"./" + name
    if kind == b"5" and rng.random() < 0.7 or kind != b"5" and rng.random() < 0.03:
        name += b"/"
    if rng.random() < 0.03:
        name = name.replace(b"/", b"//", 1) if b"/" in name else name.replace(b"a", b"./a", 1)
    return name


def content(rng):
    size = rng.choice([0, 0, 1, 5, 511, 512, 513, 1500, 4096, 10000])
    return bytes(size) if rng.random() < 0.1 else rng.randbytes(size)


def acl(rng):
    entries = [(1, rng.randrange(8), 0xFFFFFFFF), (2, rng.randrange(8), 5), (4, rng.randrange(8), 0xFFFFFFFF),
               (16, rng.randrange(8), 0xFFFFFFFF), (32, rng.randrange(8), 0xFFFFFFFF)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def attributes(rng, kind):
    found = []
    if rng.random() < 0.8:
        # None is empty: umoci leaves such attributes out, containerd and GNU tar do not.
        found.append((b"trusted.x", rng.choice([b"v", b"a\0b", b"line\n", b"=", b"\xff" * 50])))
    if kind in (b"0", b"5") and rng.random() < 0.6:
        found.append((b"user." + rng.choice([b"n", "ü".encode(), b"a.b"]), rng.randbytes(rng.randrange(1, 20))))
    if kind == b"0" and rng.random() < 0.3:
        found.append((b"security.capability", bytes.fromhex("0100000200040000000000000000000000000000")))
    if kind in (b"0", b"5") and rng.random() < 0.15:
        found.append((b"system.posix_acl_access", acl(rng)))
    if kind == b"5" and rng.random() < 0.1:
        found.append((b"system.posix_acl_default", acl(rng)))
    return [(b"SCHILY.xattr." + name, value) for name, value in found]


def numbers(rng, odd):
    style = rng.choice([0, 0, 0, 1, 2, 4] + ([3] if odd else []))
    return dict(mode=rng.choice([0o644, 0o755, 0o600, 0o4755, 0o2711, 0o1777, 0]), uid=rng.choice([0, 1000, 65534, 2000000]),
                gid=rng.choice([0, 5, 1000]), mtime=rng.choice(TIMES), style=style, checksum=rng.choice([0, 0, 0, 1, 2]))


def entry(rng, name, kind=None, link=b"", odd=True, data=None, shown=None):
    """One entry with what describes it, in a random dialect."""
    kind = kind or rng.choice([b"0"] * 6 + [b"5"] * 3 + [b"2"] * 2 + [b"3", b"4", b"6"])
    name = shown or dressed(rng, name, kind)
    dialect = rng.choice(["ustar", "ustar", "pax", "pax", "gnu", "gnu", "v7"] + (["odd"] if odd else []))
    fields = numbers(rng, odd)
    if kind == b"2" and not link:
        link = rng.choice([b"target", b"../up", b"/abs/olute", b"a", b"t" * 100, b"t" * 150])
    if data is None:
        data = content(rng) if kind in (b"0", b"7", b"\0") else b""
    size = len(data)
    if odd and kind in b"123456" and rng.random() < 0.1:
        size = rng.choice([1, 512, 1000])  # a size that means nothing
    before, records = b"", []
    if dialect == "pax":
        if len(name) > 100 or rng.random() < 0.2:
            records.append((b"path", name))
        if len(link) > 100 or link and rng.random() < 0.2:
            records.append((b"linkpath", link))
        if rng.random() < 0.3:
            records.append((b"mtime", rng.choice([b"1500000000.25", b"0.5", b"-1.5", b"12345", b"1500000000.123456789"])))
        if rng.random() < 0.1:
            records += [(b"uid", b"3000000"), (b"gid", b"7")]
        if rng.random() < 0.1:
            records.append((b"atime", b"1.5"))
        if rng.random() < 0.05:
            records.append((b"comment", b"x=y\nz"))
        if rng.random() < 0.35:
            records += attributes(rng, kind)
        if kind == b"0" and rng.random() < 0.1:
            records.append((b"size", b"%d" % size))
        if records and rng.random() < 0.1 and len(records) > 1:
            before = pax(records[:1]) + pax(records[1:]) if odd and rng.random() < 0.3 else pax(records)
        elif records:
            before = pax(records)
        dialect = "ustar"
    else:
        if len(name) > 100 or dialect == "gnu" and rng.random() < 0.05:
            before += long_name(name)
        if len(link) > 100 or link and dialect == "gnu" and rng.random() < 0.05:
            before += long_name(link, b"K")
    if dialect == "v7" and kind not in b"012":
        dialect = "ustar"
    prefix, short = b"", name
    if dialect == "ustar" and not before and b"/" in name[:-1] and rng.random() < 0.3:
        cut = name[:-1].rindex(b"/")
        prefix, short = name[:cut], name[cut + 1:]
    if kind == b"0" and rng.random() < 0.2 and not name.endswith(b"/"):
        kind = b"\0"
    device = (rng.randrange(1, 200), rng.randrange(256)) if kind in b"34" else (0, 0)
    return before + header(short, kind, size, link=link, dialect=dialect, prefix=prefix, device=device, **fields) + pad(data)


def sparse(rng, name, forms=("0.0", "0.1", "1.0")):
    size = rng.choice([0, 100, 5000, 100000])
    segments, at = [], 0
    for _ in range(rng.choice([0, 1, 2, 5, 30])):
        at += rng.randrange(1, 5) * 512
        length = min(rng.choice([512, 1024, 3072]), size - at)
        if length <= 0:
            break
        # All but the last are whole blocks: GNU tar begins each in a block of its own, Go where the one before ended.
        segments.append((at, length))
        at += length
    # GNU tar makes no file longer than where its last segment ends, and always writes one that says so.
    if not segments or sum(segments[-1]) < size or rng.random() < 0.3:
        segments.append((size, 0))
    stored = rng.randbytes(sum(length for _, length in segments))
    form = rng.choice(forms)
    if form == "gnu":
        return (long_name(name) if len(name) > 100 else b"") + headers.old_gnu_sparse(name, size, segments, stored)
    extra = [(b"path", name)] if form == "0.0" and len(name) > 100 else []
    return headers.pax_sparse(form, name, size, segments, stored, extra=extra)


def plain(rng, place):
    """Plain entries, which every reader takes in the same way."""
    return [entry(rng, b"", b"0", odd=False, data=content(rng), shown=place + b"/%d" % index) for index in range(2)]


def group(rng, place):
    """A few entries below one directory, that should be the same whatever else is in the archive."""
    pieces, files, leaves = [], [], set()
    for _ in range(rng.choice([1, 2, 3, 5])):
        name = place + b"/" + random_name(rng)
        # No layer has entries below what is not a directory in it.
        if any(name.startswith(leaf + b"/") for leaf in leaves):
            continue
        roll = rng.random()
        if files and roll < 0.2:
            # Several tools repeat the size of the file here, and have no content.
            pieces.append(entry(rng, name, b"1", link=rng.choice(files)))
            leaves.add(name)
        elif roll < 0.3:
            pieces.append(sparse(rng, name))
            leaves.add(name)
        else:
            kind = rng.choice([b"0"] * 6 + [b"5"] * 3 + [b"2"] * 2 + [b"3", b"4", b"6"])
            data = content(rng) if kind == b"0" else b""
            pieces.append(entry(rng, name, kind, data=data))
            if kind == b"0":
                files.append(name)
            if kind != b"5":
                leaves.add(name)
    return pieces


def oddity(rng, place):
    """One entry that readers may well differ about, or a damaged one."""
    name = place + b"/" + rng.choice([b"a", b"b", b"x" * 120])
    data = content(rng)
    roll = rng.randrange(15)
    if roll == 0:
        # Only what says nothing of entries: GNU tar takes times and owners from it, Go nothing, and umoci refuses it.
        return [pax([(b"comment", b"of all")], b"g"), entry(rng, name, b"0", data=data, shown=name)]
    if roll == 1:
        return [long_name(name) + pax([(b"path", place + b"/p")]) + header(b"short", b"0", len(data)) + pad(data)]
    if roll == 2:
        return [pax([(b"path", place + b"/1")]) + pax([(b"path", place + b"/2")]) + header(b"s", b"0", len(data)) + pad(data)]
    if roll == 3:
        # Not M, the rest of a file from another volume: a tar can be kept that no image can be made of.
        return [header(name[:100], rng.choice([b"V", b"N", b"Z", b"A", b"D", b"8"]), 0)]
    if roll == 4:
        return [header(name[:100], b"0", len(data), raw=((124, rng.choice([b" " * 12, bytes(12), b"0000000001x\0", b"-0000000001\0"])),)) + pad(data)]
    if roll == 5:
        return [pax([(b"size", b"%d" % len(data))]) + header(name[:100], b"0", 0) + pad(data)]
    if roll == 6:
        return [entry(rng, place + b"/x/../y", b"0", data=data, shown=place + b"/x/../y")]
    if roll == 7:
        return [entry(rng, b"", b"0", data=data, shown=b"/" + name)]
    if roll == 8:
        return [entry(rng, b"", b"5", shown=rng.choice([b".", b"./", b"/", b"./."])), *plain(rng, place)]
    if roll == 9:
        return [entry(rng, name, b"0", data=data, shown=name), entry(rng, b"", b"0", data=data, shown=name + b"/under")]
    if roll == 10:
        piece = bytearray(entry(rng, name, b"0", data=data))
        piece[rng.randrange(min(len(piece), 512))] ^= 1 << rng.randrange(8)
        return [bytes(piece)]
    if roll == 11:
        return [pax([(rng.choice([b"uid", b"gid", b"mtime", b"size"]), rng.choice([b"", b"x", b"-1", b"1e3", b" 5", b"9" * 25]))])
                + header(name[:100], b"0", len(data)) + pad(data)]
    if roll == 12:
        return [entry(rng, name, b"1", link=rng.choice([place + b"/missing", b"/" + place + b"/a", name]))]
    # Types that umoci does not know: GNU tar alone judges.
    if roll == 13:
        return [sparse(rng, name, ["gnu"]), entry(rng, b"", b"0", data=data, shown=name + b"c")]
    return [header(name[:100], b"7", len(data)) + pad(data), sparse(rng, name + b"s", ["gnu"])]


def tail(rng):
    return rng.choice([bytes(1024)] * 6 + [b"", bytes(512), bytes(10240), bytes(1024) + b"garbage" * 100])


# MARK: Images

IMAGE_NAMES = [b"a", b"b", b"d", b"d/a", b"d/b", b"d/e", b"d/e/a", b"d/e/f", b"l", b"l/a", b"l/e/b", b"x/y/z"]


def image_layer(rng, lowest, links):
    pieces, files, seen = [], [], set()
    for _ in range(rng.randrange(1, 9)):
        name = rng.choice(IMAGE_NAMES)
        if name in seen and rng.random() < 0.8:
            continue
        seen.add(name)
        parent, _, last = name.rpartition(b"/")
        roll = rng.random()
        if not lowest and roll < 0.15:
            mark = (parent + b"/" if parent else b"") + b".wh." + last
            pieces.append(entry(rng, mark, b"0", odd=False, data=b"", shown=mark))
        elif not lowest and roll < 0.25 and parent:
            mark = parent + b"/.wh..wh..opq"
            pieces.append(entry(rng, mark, b"0", odd=False, data=b"", shown=mark))
        elif roll < 0.3:
            mark = b".wh..wh." + rng.choice([b"aufs", b"plnk", b"orph"])
            pieces.append(entry(rng, mark, rng.choice([b"0", b"5"]), odd=False, data=b""))
        elif files and roll < 0.45:
            pieces.append(entry(rng, name, b"1", link=rng.choice(files), odd=False))
        elif links and roll < 0.5:
            pieces.append(entry(rng, name, b"1", link=rng.choice(links), odd=False))
        else:
            kind = rng.choice([b"0"] * 5 + [b"5"] * 5 + [b"2"] * 2 + [b"6"])
            link = rng.choice([b"d", b"/d", b"../d", b"d/e", b"nowhere", b"a"]) if kind == b"2" else b""
            pieces.append(entry(rng, name, kind, link=link, odd=False))
            if kind == b"0":
                files.append(name)
    links += files
    return pieces


def image(rng):
    links = []
    return [image_layer(rng, index == 0, links) for index in range(rng.randrange(2, 6))]
