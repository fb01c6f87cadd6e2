"""What a soak run uses and damages: directories of chunk stores."""
import contextlib
import os
import shutil
import threading


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
    """The directory of an L1, used by many or, to be damaged, by nobody."""

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
