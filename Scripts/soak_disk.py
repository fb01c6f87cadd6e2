"""The small disk of a soak run, which others fill up: a filesystem of its own for stores, mounted as root."""
import contextlib
import ctypes
import os
import shutil
import subprocess

CLONE_NEWNS = 0x0002_0000


def enter_own_mounts():
    """Mounts that this process makes from now on are seen by it and its children alone, and end with them, however they end.
    Whether there is the right to mount at all."""
    if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        return False
    return subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, check=False).returncode == 0


class SmallDisk:
    """A directory with little room: ext4 or tmpfs, or just a directory where nothing can be mounted."""

    def __init__(self, path, size, kind):
        path.mkdir()
        self.path, self.kind = path, None
        self.ballast = path / "ballast"
        if enter_own_mounts():
            self.kind = next((each for each in (kind, "tmpfs") if self.mount(each, size)), None)

    def mount(self, kind, size):
        if kind == "tmpfs":
            return self.succeeds("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.path)
        image = self.path.with_suffix(".image")
        with open(image, "wb") as file:
            file.truncate(size)
        environment = os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        return (self.succeeds("mkfs.ext4", "-q", "-m", "0", "-J", "size=8", image, env=environment)
                and self.succeeds("mount", "-o", "loop", image, self.path))

    @staticmethod
    def succeeds(*command, **more):
        with contextlib.suppress(FileNotFoundError):
            command = [str(part) for part in command]
            return subprocess.run(command, capture_output=True, check=False, **more).returncode == 0
        return False

    def fill(self):
        """Takes all room that there is."""
        with open(self.ballast, "ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    @property
    def is_full(self):
        """Whether it has less room than one chunk takes."""
        room = os.statvfs(self.path)
        return room.f_bavail * room.f_frsize < 512 << 10

    def free(self):
        self.ballast.unlink(missing_ok=True)

    def end(self, keeps):
        """Unmounts it; `keeps`: what is on it stays beside it, to be looked at."""
        if self.kind is None:
            return
        self.free()
        if keeps:
            shutil.copytree(self.path, self.path.with_suffix(".kept"), dirs_exist_ok=True)
        subprocess.run(["umount", "--lazy", str(self.path)], check=False)
        self.kind = None
