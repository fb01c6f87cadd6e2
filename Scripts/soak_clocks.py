"""The clocks of a soak run: processes whose time of day is set while they run, minutes to weeks forth and back.

Debian's libfaketime answers their questions for the time of day out of a file each; durations and deadlines go on by a clock that is never
set, as on a machine whose clock is set. Where it is not installed, a run says so and goes on without.
"""
import contextlib
import os
import subprocess
import threading
from pathlib import Path

MINUTE, DAY = 60, 86_400
# The furthest that a clock is ever set from the real time; certificates of the run are valid for longer than that.
FURTHEST = 60 * DAY


def find_library():
    """What is preloaded; None where there is none."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


class Clock:
    """The time of day of some processes."""

    def __init__(self, path, preload):
        self.path, self.preload = path, preload
        self.offset = 0
        self.set(0)

    def set(self, offset):
        """Sets it to so many seconds from the real time; heeded within about a second."""
        self.offset = offset
        new = self.path.with_suffix(".new")
        new.write_text(f"{offset:+d}\n")
        os.replace(new, self.path)

    def environment(self):
        return self.preload | {"FAKETIME_TIMESTAMP_FILE": str(self.path)} if self.preload else {}


class Clocks:
    """All clocks of a run, by whose they are."""

    def __init__(self, directory):
        directory.mkdir()
        self.directory = directory
        self.lock = threading.Lock()
        self.all = {}
        self.keeper, self.preload = None, {}
        if library := find_library():
            self.preload = {
                "LD_PRELOAD": str(library),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                # A clock that is set changes no file's times.
                "NO_FAKE_STAT": "1",
            }
            # The first process with the library makes what all share and leaves it behind if it is killed; and it moves its environment,
            # from which a Swift program then does not find its arguments any more. So it is one that is never killed.
            self.keeper = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | self.preload)
            self.keeper.stdin.write(b"begun\n")
            self.keeper.stdin.flush()
            self.keeper.stdout.readline()
            self.preload["FAKETIME_SHARED"] = f"/faketime_sem_{self.keeper.pid} /faketime_shm_{self.keeper.pid}"

    @property
    def can_step(self):
        return self.keeper is not None

    def end(self):
        if self.keeper:
            self.keeper.communicate()
            for name in (f"faketime_shm_{self.keeper.pid}", f"sem.faketime_sem_{self.keeper.pid}"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"/dev/shm/{name}")

    def of(self, name):
        with self.lock:
            if name not in self.all:
                self.all[name] = Clock(self.directory / name, self.preload)
            return self.all[name]

    def step(self, generator):
        """Sets one of them to another time. Which."""
        with self.lock:
            clock = generator.choice(list(self.all.values()))
        sign = generator.choice([-1, 1])
        clock.set(generator.choice([0, sign * generator.randint(MINUTE, 90 * MINUTE), sign * generator.randint(DAY, FURTHEST)]))
        return clock


def run_long_ago(command):
    """Runs `command` as of before all that the clocks of a run are set to, so that what it signs is valid by each of them."""
    library = find_library()
    past = {"LD_PRELOAD": str(library), "FAKETIME": f"-{2 * FURTHEST}s"} if library else {}
    return subprocess.run([str(part) for part in command], env=os.environ | past, capture_output=True, text=True, check=False)

