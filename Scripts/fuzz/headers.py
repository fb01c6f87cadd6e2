"""Tar headers, written byte by byte, in every dialect that is met and in ways that no library writes."""

BLOCK = 512


def pad(data):
    return data + bytes(-len(data) % BLOCK)


def octal(value, width, style=0):
    """A number as programs write it: NUL or blank behind it, blanks before it, nothing behind it, or base 256."""
    digits = b"%o" % max(value, 0)
    if value < 0 or len(digits) > width or style == 4:
        return bytes([0xFF if value < 0 else 0x80]) + (value % (1 << 8 * (width - 1))).to_bytes(width - 1, "big")
    if len(digits) == width or style == 3:
        return digits.rjust(width, b"0")
    if style == 1:
        return digits.rjust(width - 1, b"0") + b" "
    if style == 2:
        return digits.rjust(width - 1, b" ") + b"\0"
    return digits.rjust(width - 1, b"0") + b"\0"


MAGIC = {"ustar": b"ustar\x0000", "gnu": b"ustar  \0", "v7": bytes(8), "odd": b"ustar 00"}


def header(name, kind=b"0", size=0, mode=0o644, uid=0, gid=0, mtime=1600000000, link=b"", dialect="ustar", prefix=b"",
           device=(0, 0), style=0, checksum=0, raw=()):
    block = bytearray(BLOCK)

    def put(at, data):
        block[at:at + len(data)] = data

    put(0, name[:100])
    put(100, octal(mode, 8, style))
    put(108, octal(uid, 8, style))
    put(116, octal(gid, 8, style))
    put(124, octal(size, 12, style))
    put(136, octal(mtime, 12, style))
    put(156, kind)
    put(157, link[:100])
    put(257, MAGIC[dialect])
    if dialect != "v7":
        put(265, b"root\0")
        put(297, b"root\0")
        put(329, octal(device[0], 8, 0))
        put(337, octal(device[1], 8, 0))
    if dialect == "ustar":
        put(345, prefix[:155])
    for at, data in raw:
        put(at, data)
    put(148, b" " * 8)
    total = sum(block)
    if checksum == 1:  # bytes taken as signed, as some old programs did
        total -= 256 * sum(1 for byte in block if byte >= 128)
    text = {2: b"%07o\0", 3: b" %5o\0 "}.get(checksum, b"%06o\0 ") % max(total, 0)
    put(148, text[:8])
    return bytes(block)


def record(key, value):
    """One pax record: its length counts its own digits."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + 1
    while len(b"%d" % length) + len(body) != length:
        length = len(b"%d" % length) + len(body)
    return b"%d" % length + body


def pax(records, kind=b"x", name=b"PaxHeaders/x"):
    data = b"".join(record(key, value) for key, value in records)
    return header(name, kind, len(data)) + pad(data)


def long_name(text, kind=b"L"):
    data = text + b"\0"
    return header(b"././@LongLink", kind, len(data), dialect="gnu") + pad(data)


def old_gnu_sparse(name, size, segments, stored, **fields):
    """GNU tar's type S: four segments in the header, 21 in each block behind it."""
    def pairs(part):
        return b"".join(octal(offset, 12) + octal(length, 12) for offset, length in part)

    first, rest = segments[:4], segments[4:]
    raw = ((386, pairs(first)), (482, b"\1" if rest else b"\0"), (483, octal(size, 12)))
    out = header(name, b"S", len(stored), dialect="gnu", raw=raw, **fields)
    while rest:
        part, rest = rest[:21], rest[21:]
        block = bytearray(BLOCK)
        text = pairs(part)
        block[:len(text)] = text
        block[504] = 1 if rest else 0
        out += bytes(block)
    return out + pad(stored)


def pax_sparse(version, name, size, segments, stored, extra=(), **fields):
    """GNU tar's three forms for pax."""
    records = list(extra)
    if version == "0.0":
        records += [(b"GNU.sparse.size", b"%d" % size), (b"GNU.sparse.numblocks", b"%d" % len(segments))]
        for offset, length in segments:
            records += [(b"GNU.sparse.offset", b"%d" % offset), (b"GNU.sparse.numbytes", b"%d" % length)]
        return pax(records) + header(name, b"0", len(stored), **fields) + pad(stored)
    if version == "0.1":
        flat = b",".join(b"%d" % number for segment in segments for number in segment)
        records += [(b"GNU.sparse.size", b"%d" % size), (b"GNU.sparse.numblocks", b"%d" % len(segments)),
                    (b"GNU.sparse.map", flat), (b"GNU.sparse.name", name)]
        return pax(records) + header(b"GNUSparseFile.0/x", b"0", len(stored), **fields) + pad(stored)
    text = b"%d\n" % len(segments) + b"".join(b"%d\n%d\n" % segment for segment in segments)
    stored = pad(text) + stored
    records += [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", name),
                (b"GNU.sparse.realsize", b"%d" % size)]
    return pax(records) + header(b"GNUSparseFile.0/x", b"0", len(stored), **fields) + pad(stored)
