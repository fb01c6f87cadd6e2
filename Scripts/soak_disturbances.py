"""What a soak run does to its daemon, stores and refs while clients pull: kills, stops, flipped bits, held locks, pushes."""
import contextlib
import fcntl
import random
import signal

from soak_parts import flip_bits


class Disturbances:
    """`soak` is the run: its daemon, its stores under its lock, its counts, and the event that ends it."""

    def __init__(self, soak):
        self.soak = soak

    def lanes(self):
        """What goes on side by side: each a body and its arguments, for a thread."""
        return [
            (self.now_and_then, 8, self.kill_daemon, self.kill_daemon, self.stop_daemon, self.end_daemon),
            (self.now_and_then, 4, self.damage, self.damage, self.hold_l1),
            (self.now_and_then, 6, self.push),
        ]

    def now_and_then(self, seconds, *actions):
        """Does one of `actions` after another, with pauses of up to `seconds`."""
        generator = random.Random(f"{self.soak.seed} {actions[0].__name__}")
        while not self.soak.stop.wait(generator.uniform(0.1, seconds)):
            generator.choice(actions)(generator)

    def kill_daemon(self, generator):
        self.soak.daemon.end(signal.SIGKILL)
        self.soak.count("kills of the daemon")
        if generator.random() < 0.4 and flip_bits(self.soak.daemon.store / "data.mdb", generator):
            self.soak.count("flips in L2")
        self.soak.stop.wait(generator.choice([0, 0.5, 3]))
        self.soak.daemon.start()

    def end_daemon(self, generator):
        self.soak.daemon.end(signal.SIGTERM)
        self.soak.count("ends of the daemon")
        self.soak.daemon.start()

    def stop_daemon(self, generator):
        self.soak.daemon.process.send_signal(signal.SIGSTOP)
        self.soak.count("stops of the daemon")
        self.soak.stop.wait(generator.uniform(1, 6))
        self.soak.daemon.process.send_signal(signal.SIGCONT)

    def damage(self, generator):
        if self.soak.damages_in_use and generator.random() < 0.3:
            if flip_bits(self.soak.daemon.store / "data.mdb", generator):
                self.soak.count("flips in L2")
            return
        with self.soak.lock:
            store = generator.choice(self.soak.stores)
        if self.soak.damages_in_use and generator.random() < 0.5:
            done = flip_bits(store.path / "data.mdb", generator)
        else:
            with store.alone():
                done = flip_bits(store.path / "data.mdb", generator)
        if done:
            self.soak.count("flips in L1")

    def hold_l1(self, generator):
        """What a neighbour does that is stopped while it opens or closes the store."""
        with self.soak.lock:
            store = generator.choice(self.soak.stores)
        with store.shared(), contextlib.suppress(FileNotFoundError), open(store.path / "open.lock", "rb") as gate:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.soak.count("locks held")
                self.soak.stop.wait(generator.uniform(1, 12))

    def push(self, _):
        """A ref that moves: a pull meanwhile gets its old image or its new one."""
        number = self.soak.counts["pushes"] % 2
        source = self.soak.variants[number]
        self.soak.run("push", source.source, "acme/moving:1")
        self.soak.count("pushes")
