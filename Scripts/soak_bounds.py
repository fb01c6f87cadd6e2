"""What a soak run may use: memory, descriptors, disk and LMDB's reader slots, looked at all the time."""
import contextlib
import os
import statistics
from collections import defaultdict
from pathlib import Path

from soak_clients import L1_CAPACITY
from soak_parts import MIB, Daemon, Fault, disk_bytes
from soak_readers import used_slots

# What docs promise: a daemon stays within --memory + 100 MiB, a pull below 300 MiB.
DAEMON_BOUND, CLIENT_BOUND = Daemon.MEMORY + 100 * MIB, 300 * MIB
MEMORY, DESCRIPTORS, READERS = "bytes of memory", "descriptors", "reader slots"
# What the second half of a run may have more than the first, beside a quarter: chance, in so much as one client makes.
SLACK = {MEMORY: 16 * MIB, DESCRIPTORS: 32, READERS: 16}


class Bounds:
    """`soak` is the run: its daemons, stores, children and counts."""

    def __init__(self, soak):
        self.soak = soak
        # Of whom, and of what: all values, in order.
        self.samples = defaultdict(list)
        self.highest_client = self.largest_store = 0

    def watch(self):
        """Looks again and again, until the run ends."""
        while not self.soak.stop.wait(0.25):
            running = [(daemon, daemon.process) for daemon in self.soak.daemons]
            for daemon, process in running:
                if process is not None:
                    self.look_at_daemon(daemon, process)
            daemons = {process.pid for _, process in running if process is not None}
            with self.soak.lock:
                stores = [(store.path, L1_CAPACITY) for store in self.soak.stores]
                clients = [child.pid for child in self.soak.children.values()]
            for path, capacity in stores + [(daemon.store, Daemon.CAPACITY) for daemon in self.soak.daemons]:
                self.look_at_store(path, capacity)
            for pid in clients:
                if pid not in daemons:
                    self.look_at_client(pid)

    def look_at_daemon(self, daemon, process):
        # One that has just been killed has neither memory nor descriptors, or is gone.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError, KeyError):
            status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
            # What LMDB has mapped is page cache and counts in VmRSS, too.
            resident = int(status["RssAnon"].split()[0]) << 10
            self.samples[daemon.name, MEMORY].append(resident)
            self.samples[daemon.name, DESCRIPTORS].append(len(os.listdir(f"/proc/{process.pid}/fd")))
            if resident > DAEMON_BOUND:
                raise Fault(f"{daemon.name} has {resident // MIB} MiB resident, more than {DAEMON_BOUND // MIB}")
        if process.poll() is not None and process is daemon.process:
            raise Fault(f"{daemon.name} ended by itself with {process.returncode}, see {daemon.log.name}")

    def look_at_store(self, path, capacity):
        size = disk_bytes(path)
        self.largest_store = max(self.largest_store, size)
        if size > capacity:
            raise Fault(f"{path} has {size:,} bytes on disk, its capacity is {capacity:,}")
        slots = used_slots(path)
        if slots is not None:
            self.samples[path.name, READERS].append(slots)

    def look_at_client(self, pid):
        with contextlib.suppress(OSError, StopIteration, ValueError):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            peak = int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) << 10
            self.highest_client = max(self.highest_client, peak)
            if peak > CLIENT_BOUND:
                raise Fault(f"a client had {peak // MIB} MiB resident, more than {CLIENT_BOUND // MIB}")

    def check_growth(self):
        """Nothing has more at its most in the second half of the run than in the first, nor in the middle of the last quarter than in that
        of the second, by when it is warm. Of a daemon that is killed that says little; the other one has lived through all of it."""
        for (who, what), values in list(self.samples.items()):
            half = len(values) // 2
            for which, early, late, slack in (
                    ("at most", max(values[:half], default=0), max(values[half:], default=0), SLACK[what]),
                    ("in the middle", *self.middles(values), SLACK[what] // 2)):
                if half and late > 1.25 * early + slack:
                    raise Fault(f"{who} grew: {which} {early:,} {what} in the first half of the run, {late:,} in the second")

    @staticmethod
    def middles(values):
        """The medians of the second quarter and of the last."""
        quarter = len(values) // 4
        return tuple(statistics.median(part) if part else 0 for part in (values[quarter:2 * quarter], values[3 * quarter:]))

    def most(self, what):
        return max((max(values) for (_, each), values in list(self.samples.items()) if each == what), default=0)
