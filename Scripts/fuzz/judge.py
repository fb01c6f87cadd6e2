"""Runs a case through layercache, umoci and GNU tar, and says who agrees with whom."""
import os
import re
import shutil
import subprocess
import time

import layouts
import trees

# What others have otherwise for a reason, as few as there must be: what umoci says or what differs, and why it is not ours to follow.
# What umoci refuses and containers have.
TAKEN = [
    (r"mkdir parent: .*: not a directory",
     "entries below what is a file in a lower layer, where the kernel's overlay shows the directory (umoci#546), or before them"),
]
# What we and GNU tar refuse, and umoci does not.
REFUSED = [
    (r"the archive ends inside", "what was cut off must not pass for whole, and Go does not look at padding"),
]
# What umoci does to a tree.
DIFFERS = [
    (r": mtime is .*, not 'new'$",
     "umoci does not restore the time of a directory in which it makes a missing one; containerd and docker set all times last"),
    (r": xattr system.posix_acl_default is None, not ",
     "what is made in a directory with a default access list gets it from the kernel; the archive says of that entry that it has none"),
    (r": xattr trusted\.overlay\..* is None, not ",
     "attributes of overlayfs itself are left out: it would obey them where the tree becomes a layer of its (docs/OPERATIONS.md)"),
]
ACCESS_LIST = ("xattr system.posix_acl_access",
               "umoci and GNU tar set the mode before an access list, which then changes it; containerd and docker set the mode after it")


def unexplained(lines):
    """Those of the differences that have no known reason."""
    listed = {line.partition(": ")[0] for line in lines if ACCESS_LIST[0] in line}
    return [line for line in lines
            if not any(re.search(pattern, line) for pattern, _ in DIFFERS)
            and not (line.partition(": ")[0] in listed and (ACCESS_LIST[0] in line or ": mode is " in line))]


class Judge:
    def __init__(self, layercache, place):
        self.layercache, self.place, self.count = layercache, place, 0
        os.makedirs(place, exist_ok=True)
        os.umask(0o022)
        self.run([layercache, "keygen", "acme", "--keyring", "keys", "--quiet"])

    def run(self, command):
        """Exit status and the last line that was said."""
        done = subprocess.run(command, cwd=self.place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120)
        lines = done.stdout.decode("utf-8", "backslashreplace").strip().splitlines() or [""]
        return done.returncode, lines[-1]

    def path(self, name):
        return os.path.join(self.place, name)

    def clear(self):
        # Not rmtree: it follows names that no longer fit into a path.
        subprocess.run(["rm", "-rf", "img", "ours", "umoci", "tar", "back.tar", "in.tar"], cwd=self.place, check=True)
        self.count += 1
        if self.count % 200 == 0:
            shutil.rmtree(self.path("l3"), ignore_errors=True)
        # A tick, so that what is new differs from what is written in no archive.
        self.since = time.time_ns() - 10**9

    # MARK: The three readers

    def ours(self, source, tar):
        """A tree, or what was said instead."""
        options = ["--l3", "l3", "--keyring", "keys", "--quiet"]
        status, line = self.run([self.layercache, "push", source, "acme/x:1", *options])
        if status != 0:
            if status != 1:
                return None, f"push ended with {status}: {line}", True
            return None, line, False
        status, line = self.run([self.layercache, "pull", "acme/x:1", "dir:ours", *options])
        if status != 0:
            return None, f"pushed, but not pulled: {line}", True
        if tar is not None:
            status, line = self.run([self.layercache, "pull", "acme/x:1", "tar:back.tar", *options])
            with open(self.path("back.tar"), "rb") as file:
                if status != 0 or file.read() != tar:
                    return None, f"the tar came back as another one: {line}", True
        return trees.snapshot(self.path("ours"), self.since), "", False

    def umoci(self):
        status, line = self.run(["umoci", "raw", "unpack", "--image", "img:t", "umoci"])
        return (trees.snapshot(self.path("umoci"), self.since) if status == 0 else None), line

    def gnu(self):
        os.mkdir(self.path("tar"))
        status, line = self.run(["tar", "-C", "tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", "in.tar"])
        return (trees.snapshot(self.path("tar"), self.since) if status == 0 else None), line

    # MARK: Verdicts

    def judge(self, layers, packed=None):
        """The verdict on a case (its layers as whole tars), and what there is to say: `agree`, `refused`, `alone`, `known`, `FAULT`."""
        self.clear()
        layouts.write(self.path("img"), layers, packed)
        single = layers[0] if len(layers) == 1 else None
        if single is not None:
            with open(self.path("in.tar"), "wb") as file:
                file.write(single)
        ours, said, broken = self.ours("tar:in.tar" if single is not None else "oci:img:t", single)
        if broken:
            return "FAULT", [said]
        umoci, umoci_said = self.umoci()
        tar, tar_said = self.gnu() if single is not None else (None, "")
        with_root = False
        if ours is None:
            if umoci is None:
                return "refused", [said]
            if tar is None and any(re.search(pattern, said) for pattern, _ in REFUSED):
                return "known", [said]
            return "FAULT", [f"we refuse what umoci takes{'' if tar is None else ', and tar'}: {said}"]
        if umoci is None and tar is None:
            for pattern, reason in TAKEN:
                if re.search(pattern, umoci_said):
                    return "known", [reason]
        if umoci is None and tar is None:
            return "FAULT", [f"we take what nobody takes: umoci says: {umoci_said}; tar says: {tar_said}"]
        from_umoci = None if umoci is None else trees.differences(ours, umoci, with_root)
        from_tar = None if tar is None else trees.differences(ours, tar, with_root)
        if from_umoci == []:
            return "agree", []
        if from_umoci is None:
            if not unexplained(from_tar):
                return "alone", ["as tar has it; umoci says: " + umoci_said]
            return "FAULT", ["umoci refuses it, and tar differs:"] + from_tar
        lines = unexplained(from_umoci)
        if not lines:
            return "known", from_umoci
        if from_tar == []:
            return "alone", ["as tar has it; umoci differs:"] + lines
        return "FAULT", ["umoci differs:", *lines, *([f"tar refuses it: {tar_said}"] if tar is None else ["tar differs:", *from_tar])]
