"""What a directory tree is: each name with all that an image says of it."""
import hashlib
import os
import stat

DAY = 86400 * 10**9


def snapshot(root, since):
    """Entries by name. Times after `since`, and not of the next century, are those of directories that were made on the way."""
    root = os.fsencode(root)
    found, links = {}, {}

    def visit(path, name):
        status = os.lstat(path)
        mode = status.st_mode
        kind = stat.S_IFMT(mode)
        entry = {"kind": oct(kind), "mode": oct(stat.S_IMODE(mode)), "owner": (status.st_uid, status.st_gid),
                 "links": status.st_nlink}
        entry["mtime"] = "new" if since <= status.st_mtime_ns < since + DAY else status.st_mtime_ns
        if kind == stat.S_IFREG:
            with open(path, "rb") as file:
                entry["bytes"] = (status.st_size, hashlib.sha256(file.read()).hexdigest()[:16])
        elif kind == stat.S_IFLNK:
            entry["target"] = os.readlink(path)
            entry["mode"] = None
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            entry["device"] = (os.major(status.st_rdev), os.minor(status.st_rdev))
        for key in os.listxattr(path, follow_symlinks=False):
            entry["xattr " + key] = os.getxattr(path, key, follow_symlinks=False)
        if kind != stat.S_IFDIR and status.st_nlink > 1:
            entry["link"] = links.setdefault(status.st_ino, name)
        found[name] = entry
        if kind == stat.S_IFDIR:
            for child in sorted(os.listdir(path)):
                visit(os.path.join(path, child), name + b"/" + child if name else child)

    visit(root, b"")
    return found


def differences(ours, theirs, with_root):
    lines = []
    for name in sorted(set(ours) | set(theirs)):
        if name == b"" and not with_root:
            continue
        a, b = ours.get(name), theirs.get(name)
        if a is None or b is None:
            lines.append(f"{name!r} is {'missing' if a is None else 'too much'}")
            continue
        for key in sorted(set(a) | set(b)):
            if a.get(key) != b.get(key):
                lines.append(f"{name!r}: {key} is {a.get(key)!r}, not {b.get(key)!r}")
    return lines
