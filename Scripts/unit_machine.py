"""A systemd in namespaces of its own, for units to be tried on: over the files of this machine, which it does not change, or over another tree.

Has a network, processes, mounts and a cgroup of its own; what it writes goes to memory, but for directories that are lent to it. Ends with the
process that made it.
"""
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

# What every container has, and what images are mounted by.
DEVICES = "null zero full random urandom tty fuse loop-control loop0 loop1 loop2 loop3"
# $1: the tree, $2: a directory that belongs to nobody else, $3: files to put over the tree; then pairs of a directory and where it is lent.
BOOT = f"""
set -e
tree=$1 here=$2 files=$3; shift 3
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$here"
mkdir "$here/upper" "$here/work" "$here/root"
chmod 755 "$here/upper"
mount -t overlay -o "lowerdir=$tree,upperdir=$here/upper,workdir=$here/work" overlay "$here/root"
root=$here/root
rm -rf "$root/etc/systemd/system"; mkdir -p "$root/etc/systemd/system"
: >"$root/etc/fstab"
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
cp -a "$files/." "$root/"
mkdir -p "$root/proc" "$root/sys" "$root/run" "$root/tmp" "$root/dev" "$root/.old"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s /proc/self/fd "$root/dev/fd"; ln -s pts/ptmx "$root/dev/ptmx"
for device in {DEVICES}; do [ ! -e "/dev/$device" ] || cp -a "/dev/$device" "$root/dev/$device"; done
while [ $# -gt 0 ]; do mkdir -p "$root$2"; mount --bind "$1" "$root$2"; shift 2; done
cd "$root"
pivot_root . .old
umount -l /.old
# As a machine's systemd has it, and as the units of one expect it.
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=multi-user.target --log-target=journal --show-status=no
"""
PATIENCE = 60
NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--cgroup", "--pid")


class Fault(Exception):
    """What must not happen, in one line."""


def what_is_missing():
    """Why this machine cannot boot another one; None if it can."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.path.exists("/dev/fuse") or "\terofs\n" not in Path("/proc/filesystems").read_text():
        return "needs /dev/fuse and a kernel with EROFS"
    for tool in ("unshare", "nsenter", "openssl", "systemd-analyze"):
        if shutil.which(tool) is None:
            return f"there is no {tool}"
    if not os.path.exists("/lib/systemd/systemd"):
        return "there is no systemd here (Debian: systemd)"
    if cgroups() is None:
        return "no cgroup2 is mounted"
    probe = 'mkdir "$0/upper" "$0/work" && exec mount -t overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" overlay "$0"'
    with tempfile.TemporaryDirectory() as place:
        script = f"mount -t tmpfs tmpfs {place} && sh -c '{probe}' {place}"
        if subprocess.run(["unshare", *NAMESPACES, "--fork", "sh", "-c", script], stderr=subprocess.DEVNULL).returncode != 0:
            return "no namespaces or no overlayfs can be had here (a container?)"
    return None


def die_with_parent():
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))


def cgroups():
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(place, os.W_OK):
            return Path(place)
    return None


class UnitMachine:
    def __init__(self, tree, files, lent):
        """`files`: put over those of `tree`. `lent`: directories of this machine, by the path that they have there."""
        self.cgroup = cgroups() / f"layercache-units-{os.getpid()}"
        self.cgroup.mkdir()
        self.here = tempfile.mkdtemp(prefix="layercache-units-")
        words = [str(tree), self.here, str(files)] + [str(word) for place, directory in lent.items() for word in (directory, place)]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            ["unshare", *NAMESPACES, "--fork", "--kill-child", "bash", "-c", BOOT, "boot", *words],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
            preexec_fn=lambda: (die_with_parent(), (self.cgroup / "cgroup.procs").write_text("0")))
        self.pid = None
        try:
            self.pid = self.wait("the first process of the machine", self.find_systemd)
            self.wait("systemd's answer", self.is_up)
        except BaseException:
            self.close()
            raise

    def find_systemd(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            raise Fault(f"the machine does not start: {self.log.read().strip()}")
        for place in Path("/proc").glob("[0-9]*/stat"):
            try:
                head, tail = place.read_text().rsplit(")", 1)
            except OSError:
                continue
            if int(tail.split()[1]) == self.process.pid and head.endswith("(systemd"):
                return int(place.parent.name)
        return None

    def is_up(self):
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def root(self, path):
        """A path of the machine, as programs of this one may open it, in the machine's mount namespace."""
        return f"/proc/{self.pid}/root{path}"

    def run(self, *command, check=True, patience=PATIENCE):
        """A program in the machine, beside its units."""
        enter = ["nsenter", "--target", str(self.pid), *NAMESPACES, "--root", "--wd", "--"]
        try:
            outcome = subprocess.run(
                [*enter, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=patience)
        except subprocess.TimeoutExpired as error:
            raise Fault(f"{' '.join(command)} takes longer than {patience} s") from error
        if check and outcome.returncode != 0:
            raise Fault(f"{' '.join(command)} ends with {outcome.returncode}: {outcome.stdout.strip()}")
        return outcome

    def unit(self, name, *properties):
        """Properties of a unit, as systemd has them now."""
        lines = self.run("systemctl", "show", name, "--property", ",".join(properties)).stdout.splitlines()
        values = dict(line.split("=", 1) for line in lines)
        return [values.get(name, "") for name in properties]

    def mounts(self):
        return [line.split()[4] for line in Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()]

    @staticmethod
    def wait(what, ask, patience=PATIENCE):
        end = time.monotonic() + patience
        while not (answer := ask()):
            if time.monotonic() > end:
                raise Fault(f"{what} has not come within {patience} s")
            time.sleep(0.02)
        return answer

    def close(self):
        """All of its processes end with its first one, and all mounts with them."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait(PATIENCE)
        os.rmdir(self.here)
        places = sorted((place for place, *_ in os.walk(self.cgroup)), key=len, reverse=True)
        for place in places:
            self.wait(f"the end of the processes in {place}", lambda: self.remove(place))

    @staticmethod
    def remove(place):
        try:
            os.rmdir(place)
        except FileNotFoundError:
            pass
        except OSError:
            return False
        return True
