"""What a soak run does to its daemons, stores, clocks and refs while clients pull: kills, stops, flipped bits, held locks, pushes, tokens and
certificates exchanged, clocks set, a disk filled up."""
import contextlib
import email.utils
import fcntl
import hashlib
import random
import signal
import time

from soak_parts import PATIENCE, Fault, flip_bits, remove


class Disturbances:
    """`soak` is the run: its daemons, its stores under its lock, its counts, and the event that ends it."""

    def __init__(self, soak):
        self.soak = soak

    def lanes(self):
        """What goes on side by side: each a body and its arguments, for a thread."""
        lanes = [
            (self.now_and_then, 8, self.kill_daemon, self.kill_and_damage_daemon, self.stop_daemon, self.end_daemon),
            (self.now_and_then, 4, self.damage, self.damage, self.hold_l1),
            (self.now_and_then, 6, self.push),
            (self.now_and_then, 6, self.exchange_token, self.exchange_token, self.exchange_certificates),
        ]
        if self.soak.clocks.can_step:
            lanes.append((self.now_and_then, 3, self.step_clock))
        if self.soak.disk.kind:
            lanes.append((self.now_and_then, 8, self.fill_disk, self.fill_disk_of_new_l1, self.fill_disk_of_new_daemon))
        return lanes

    def required(self):
        """What each run of a minute or more must have done."""
        names = ["kills", "stops of clients", "kills of the daemon", "ends of the daemon", "stops of the daemon", "locks held",
                 "flips in L1", "flips in L2", "pushes", "tokens exchanged", "tokens refused", "certificates exchanged"]
        if self.soak.clocks.can_step:
            names += ["clocks set", "clocks of daemons seen to be set"]
        if self.soak.disk.kind:
            names += ["times the disk was full", "writes taken again"]
        return names

    def now_and_then(self, seconds, *actions):
        """Does all of `actions` in one order after another, with pauses of up to `seconds`."""
        generator = random.Random(f"{self.soak.seed} {actions[0].__name__}")
        while not self.soak.stop.is_set():
            for action in generator.sample(actions, len(actions)):
                if self.soak.stop.wait(generator.uniform(0.1, seconds)):
                    return
                action(generator)

    @contextlib.contextmanager
    def all_turns(self):
        """Nobody else ends, stops or starts a daemon meanwhile. Always in one order."""
        with contextlib.ExitStack() as stack:
            for daemon in self.soak.daemons:
                stack.enter_context(daemon.turn)
            yield

    # Daemons

    def kill_daemon(self, generator, meanwhile=None):
        struck, steady = self.soak.struck, self.soak.steady
        with struck.turn:
            struck.end(signal.SIGKILL)
            self.soak.count("kills of the daemon")
            if meanwhile:
                meanwhile()
            if generator.random() < 0.3:
                # A list that changes while a daemon is away is what it starts with.
                with steady.turn:
                    self.soak.access.exchange_token([steady], by_hand=generator.random() < 0.5)
            else:
                self.soak.stop.wait(generator.choice([0, 0.5, 3]))
            struck.start()

    def kill_and_damage_daemon(self, generator):
        def flip():
            if flip_bits(self.soak.struck.store / "data.mdb", generator):
                self.soak.count("flips in L2")
        self.kill_daemon(generator, flip)

    def end_daemon(self, _):
        with self.soak.struck.turn:
            self.soak.struck.end(signal.SIGTERM)
            self.soak.count("ends of the daemon")
            self.soak.struck.start()

    def stop_daemon(self, generator):
        daemon = generator.choice(self.soak.daemons)
        with daemon.turn:
            daemon.process.send_signal(signal.SIGSTOP)
            self.soak.count("stops of the daemon")
            self.soak.stop.wait(generator.uniform(1, 6))
            daemon.process.send_signal(signal.SIGCONT)

    # Stores and refs

    def damage(self, generator):
        if self.soak.damages_in_use and generator.random() < 0.3:
            if flip_bits(generator.choice(self.soak.daemons).store / "data.mdb", generator):
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

    # Access

    def exchange_token(self, generator):
        with self.all_turns():
            self.soak.access.exchange_token(self.soak.daemons, by_hand=generator.random() < 0.5)

    def exchange_certificates(self, generator):
        access = self.soak.access
        if generator.random() < 0.3:
            access.renew_worker()
        with self.all_turns():
            access.renew_server()
            for daemon in self.soak.daemons:
                access.await_certificate(daemon)
        self.soak.count("certificates exchanged")

    # Clocks

    def step_clock(self, generator):
        clock = self.soak.clocks.step(generator)
        self.soak.count("clocks set")
        for daemon in self.soak.daemons:
            if daemon.clock is clock and daemon.turn.acquire(blocking=False):
                try:
                    self.await_date(daemon)
                finally:
                    daemon.turn.release()

    def await_date(self, daemon):
        """Until the daemon dates its answers by the clock that was set: it is told nothing if the library does nothing."""
        give_up = time.monotonic() + PATIENCE
        while not self.soak.stop.is_set():
            _, fields, _ = self.soak.access.request(daemon, "/healthz", "GET")
            date = email.utils.parsedate_to_datetime(fields["Date"]).timestamp()
            if abs(date - time.time() - daemon.clock.offset) < 30:
                self.soak.count("clocks of daemons seen to be set")
                return
            if time.monotonic() > give_up:
                raise Fault(f"{daemon.name} is at {fields['Date']}, its clock was set to {daemon.clock.offset:+d} s from now")
            self.soak.stop.wait(0.2)

    # The disk

    def fill_disk(self, generator):
        """Others take all room; then there is room again, and what could not write does so by itself."""
        self.soak.disk.fill()
        if self.soak.disk.is_full:
            self.soak.count("times the disk was full")
        for daemon in self.soak.daemons:
            # One that has no room to start waits for this to end.
            if daemon.turn.acquire(blocking=False):
                try:
                    if self.put(daemon, generator) == 507:
                        self.soak.count("writes refused by a full disk")
                finally:
                    daemon.turn.release()
        self.soak.stop.wait(generator.uniform(0.5, 5))
        self.soak.disk.free()
        for daemon in self.soak.daemons:
            self.await_room(daemon, generator)

    def fill_disk_of_new_l1(self, generator):
        """An L1 that has to begin without any room."""
        store = self.soak.stores[0]
        with store.alone():
            if store.path.exists():
                remove(store.path)
            self.soak.disk.fill()
        self.fill_disk(generator)

    def fill_disk_of_new_daemon(self, generator):
        """A daemon whose store has just begun."""
        struck = self.soak.struck
        with struck.turn:
            struck.end(signal.SIGTERM)
            self.soak.count("ends of the daemon")
            remove(struck.store)
            struck.start()
            self.fill_disk(generator)

    def put(self, daemon, generator):
        """One new chunk; the answer's status. One that was taken is there, unless it is evicted or its daemon is killed."""
        data = generator.randbytes(200_000)
        path = "/v1/chunks/" + hashlib.sha256(data).hexdigest()
        status = self.soak.access.request(daemon, path, "PUT", data)[0]
        if status not in (200, 201, 503, 507):
            raise Fault(f"{daemon.name} answers a PUT with {status}")
        found, _, body = self.soak.access.request(daemon, path, "GET")
        if found == 200 and body != data:
            raise Fault(f"{daemon.name} gave other bytes than were put")
        return status

    def await_room(self, daemon, generator):
        give_up = time.monotonic() + PATIENCE
        while not self.soak.stop.is_set():
            with daemon.turn:
                if self.put(daemon, generator) in (200, 201):
                    self.soak.count("writes taken again")
                    return
            if time.monotonic() > give_up:
                raise Fault(f"{daemon.name} takes no chunk though its disk has room again for {PATIENCE} s")
            self.soak.stop.wait(0.1)
