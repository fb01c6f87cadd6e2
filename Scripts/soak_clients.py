"""The clients of a soak run: each pulls images to all kinds of destinations, is killed or stopped now and then, and checks what it got."""
import contextlib
import json
import os
import random
import signal
import subprocess
import time

import soak_images
from soak_parts import PATIENCE, Fault, Store, remove

L1_CAPACITY = 24 << 20
TIERS = ("memory", "l1", "l2", "l3")
# What a client says when a daemon refuses it or it refuses a daemon; see docs/OPERATIONS.md, "Access to L2".
REFUSALS = ("(401)", "(403)", "its certificate", "this client's certificate", "client certificate")


class Clients:
    """`soak` is the run: its images, stores and daemons, its counts, and the event that ends it."""

    def __init__(self, soak):
        self.soak = soak

    def client(self, number, shared):
        """Pulls one image after another, until the run ends."""
        soak = self.soak
        generator = random.Random(soak.seed * 101 + number)
        place = soak.world / f"client{number}"
        place.mkdir()
        private = Store(soak.world / f"l1-{number}")
        with soak.lock:
            soak.stores.append(private)
        while not soak.stop.is_set():
            ref = generator.choice(list(soak.images))
            image = soak.images[ref][0]
            form = generator.choice(image.forms)
            path = place / f"{ref.replace('/', '-').replace(':', '-')}.{form}"
            if form == "dir" or generator.random() < 0.3:
                remove(path)
            l1 = generator.choices([shared, private, None], [4, 4, 2])[0]
            options = ["--l1", l1.path, "--l1-capacity", L1_CAPACITY] if l1 else []
            if generator.random() < 0.8:
                daemons = generator.choice([soak.daemons[:1], soak.daemons[1:], soak.daemons])
                options += ["--l2", ",".join(daemon.url for daemon in daemons), *soak.access.of_client()]
            destination = f"{form}:{path}" + (":latest" if form == "oci" else "")
            with l1.shared() if l1 else contextlib.nullcontext():
                done = self.pull(number, ref, destination, options, generator)
            # The next pull to the same place works and cleans up what a killed one left.
            while not done:
                if form == "dir" and path.exists():
                    # Killed on its way out: what has its own name is complete, and a directory that is not empty would be refused.
                    self.compare(ref, form, path)
                    remove(path)
                with l1.shared() if l1 else contextlib.nullcontext():
                    done = self.pull(number, ref, destination, options, generator)
            self.check(ref, form, path, place)

    def pull(self, number, ref, destination, options, generator):
        """One pull, perhaps killed or stopped under way. Whether it came to its end."""
        soak = self.soak
        logs = [soak.world / f"client{number}.{name}" for name in ("out", "err")]
        # Half of the clients go by the real time, and share stores and daemons with those that do not.
        clock = soak.clocks.of(f"client{number}") if number % 2 else None
        with open(logs[0], "wb") as out, open(logs[1], "wb") as err:
            started = time.monotonic()
            child = soak.spawn(["pull", ref, destination, *soak.common, *options], clock, stdout=out, stderr=err)
            disturbance, stood = generator.random(), 0
            try:
                if disturbance < 0.2:
                    soak.wait(child, generator.random() * 0.6)
                elif disturbance < 0.23:
                    stood = self.wait_through_a_stop(child, generator)
            except subprocess.TimeoutExpired:
                child.kill()
                soak.wait(child, PATIENCE)
                soak.count("kills")
                return False
            try:
                status = soak.wait(child, PATIENCE)
            except subprocess.TimeoutExpired:
                raise Fault(f"a pull hangs: {ref} to {destination}, see client{number}.err") from None
        said = logs[1].read_text(errors="replace").strip().splitlines()
        if status != 0:
            soak.count("failed pulls")
            line = (said or ["it said nothing"])[-1]
            raise Fault(f"pull {ref} {destination} {' '.join(map(str, options))} ended with {status}: {line}")
        if refused := [line for line in said if any(words in line for words in REFUSALS)]:
            raise Fault(f"client {number} has a valid token and was refused: {refused[0]}")
        self.note(json.loads(logs[0].read_text()), time.monotonic() - started - stood)
        return True

    def note(self, answer, seconds):
        soak = self.soak
        with soak.lock:
            soak.counts["pulls"] += 1
            soak.slowest_pull = max(soak.slowest_pull, seconds)
            for tier in TIERS:
                soak.tiers[tier] += answer["tiers"][tier]["chunks"]
            soak.tiers["repaired"] += answer["repaired"]["l1"] + answer["repaired"]["l2"]

    def wait_through_a_stop(self, child, generator):
        """Stops a client for some seconds unless it is done before; how long it stood."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(generator.random() * 0.4)
            return 0
        started = time.monotonic()
        child.send_signal(signal.SIGSTOP)
        self.soak.count("stops of clients")
        self.soak.stop.wait(generator.uniform(1, 12))
        child.send_signal(signal.SIGCONT)
        return time.monotonic() - started

    def check(self, ref, form, path, place):
        self.compare(ref, form, path)
        left = [name for name in os.listdir(place) if name.startswith(".layercache-")]
        if left:
            raise Fault(f"{place} still has {left} after a pull of {ref} to {path.name}")

    def compare(self, ref, form, path):
        """With what was pushed under the ref, or with all that was if it moves."""
        with self.soak.lock:
            accepted = list(self.soak.images[ref])
        for number, image in enumerate(accepted):
            try:
                image.check(form, path)
                break
            except soak_images.Wrong:
                if number + 1 == len(accepted):
                    raise
