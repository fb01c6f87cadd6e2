"""What a soak run uses and damages: directories of chunk stores, and a daemon."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time


MIB = 1 << 20
# Longer than any pull or answer takes on a busy machine, stops of its neighbours included; what takes longer hangs.
PATIENCE = 180


class Fault(Exception):
    """What must not happen, in one line."""


def disk_bytes(directory):
    total = 0
    for root, _, files in os.walk(directory):
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
    return total


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flip_bits(path, generator):
    """Flips a few bits, half of the time in the first pages, which are few and all matter. Whether there was anything to flip."""
    with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        end = min(size, 65_536) if generator.random() < 0.5 else size
        for _ in range(generator.randint(1, 8) if size else 0):
            place = generator.randrange(end)
            file.seek(place)
            [byte] = file.read(1)
            file.seek(place)
            file.write(bytes([byte ^ 1 << generator.randrange(8)]))
        return size > 0
    return False


class Store:
    """The directory of an L1, shared by clients, or taken by none while it is damaged."""

    def __init__(self, path):
        self.path = path
        self.turn = threading.Condition()
        self.users = 0
        self.is_taken = False

    @contextlib.contextmanager
    def shared(self):
        with self.turn:
            self.turn.wait_for(lambda: not self.is_taken)
            self.users += 1
        try:
            yield
        finally:
            with self.turn:
                self.users -= 1
                self.turn.notify_all()

    @contextlib.contextmanager
    def alone(self):
        with self.turn:
            self.turn.wait_for(lambda: not self.is_taken)
            self.is_taken = True
            self.turn.wait_for(lambda: self.users == 0)
        try:
            yield
        finally:
            with self.turn:
                self.is_taken = False
                self.turn.notify_all()


class Daemon:
    """An L2 daemon, which keeps its address through all its lives."""

    CAPACITY, MEMORY = 48 << 20, 8 << 20

    def __init__(self, soak, name, store):
        self.soak, self.name, self.store = soak, name, store
        self.clock = soak.clocks.of(name)
        self.address = "127.0.0.1:0"
        self.process = None
        # Whoever ends, stops or starts it has the turn, and whoever needs that it runs.
        self.turn = threading.RLock()
        self.log = open(soak.world / f"{name}.log", "ab")
        self.start()

    @property
    def url(self):
        return f"https://{self.address}"

    def start(self):
        """Starts it, on a full disk again and again as a service manager does: others may have taken the room for its reader table."""
        give_up = time.monotonic() + PATIENCE
        while True:
            process = self.soak.spawn(
                ["server", "--listen", self.address, "--store", self.store, "--capacity", self.CAPACITY, "--memory", self.MEMORY,
                 *self.soak.access.of_daemon(), "--json"], self.clock, stdout=subprocess.PIPE, stderr=self.log)
            with process.stdout as answer:
                line = answer.readline()
            if line:
                self.address, self.process = json.loads(line)["listen"], process
                return
            status = self.soak.wait(process, PATIENCE)
            if "No space left on device" not in self.last_words() or time.monotonic() > give_up:
                raise Fault(f"{self.name} did not start and ended with {status}: {self.last_words()}")
            self.soak.count("starts refused by a full disk")
            time.sleep(0.5)

    def last_words(self):
        with open(self.log.name, errors="replace") as log:
            return (log.read().splitlines() or ["it said nothing"])[-1]

    def end(self, number):
        """Ends it, and says what is wrong with how it ended."""
        process, self.process = self.process, None
        process.send_signal(number)
        try:
            status = self.soak.wait(process, PATIENCE)
        except subprocess.TimeoutExpired:
            raise Fault(f"{self.name} did not end within {PATIENCE} s of signal {number}") from None
        if status != (0 if number == signal.SIGTERM else -number):
            raise Fault(f"{self.name} ended with {status} on signal {number}, see {self.log.name}")
