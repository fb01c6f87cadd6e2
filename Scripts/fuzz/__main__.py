"""The driver: see Scripts/fuzz-images."""
import collections
import multiprocessing
import os
import queue
import random
import shutil
import sys
import tempfile
import time

import cases
from judge import Judge

WORKERS = 2
KEPT = ".fuzz"
GROUPS = 30


class Case:
    """Layers of pieces, and what ends each layer."""

    def __init__(self, layers, tails, packed=None, cut=None):
        self.layers, self.tails, self.packed, self.cut = layers, tails, packed, cut

    def tars(self):
        whole = [b"".join(pieces) + tail for pieces, tail in zip(self.layers, self.tails)]
        return [tar[:int(len(tar) * self.cut)] for tar in whole] if self.cut else whole

    def without(self, layer, piece):
        layers = [list(pieces) for pieces in self.layers]
        del layers[layer][piece]
        return Case(layers, self.tails, self.packed, self.cut)


def verdict_of(judge, case):
    return judge.judge(case.tars(), case.packed)


def minimise(judge, case, says):
    """Fewer pieces with the same verdict."""
    tried = 0
    for layer in reversed(range(len(case.layers))):
        for piece in reversed(range(len(case.layers[layer]))):
            if tried >= 60 or sum(map(len, case.layers)) == 1:
                return case, says
            tried += 1
            smaller = case.without(layer, piece)
            verdict, lines = verdict_of(judge, smaller)
            if verdict == "FAULT":
                case, says = smaller, lines
    return case, says


def save(case, seed, lines):
    path = os.path.join(KEPT, f"case-{seed}")
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    for index, tar in enumerate(case.tars()):
        with open(os.path.join(path, f"layer-{index}.tar{(case.packed or [''] * 99)[index]}"), "wb") as file:
            file.write(tar)
    with open(os.path.join(path, "says"), "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write("\n".join(lines) + "\n")
    return path


def batch(rng):
    """Groups that are judged together first, as most of them are understood by all: one run of umoci for many entries."""
    groups = [cases.group(rng, b"c%02d" % index) for index in range(GROUPS)]
    return groups, cases.tail(rng)


def judged(judge, groups, tail):
    """The case of these groups, its verdict and what was said; of the halves of them where not all agree."""
    case = Case([[piece for group in groups for piece in group]], [tail])
    verdict, lines = verdict_of(judge, case)
    if verdict == "agree" or len(groups) == 1:
        yield case, verdict, lines, len(groups)
        return
    middle = len(groups) // 2
    for half in (groups[:middle], groups[middle:]):
        yield from judged(judge, half, tail)


def round_of(judge, seed):
    """All cases of one seed."""
    rng = random.Random(seed)
    roll = rng.random()
    if roll < 0.4:
        yield from judged(judge, *batch(rng))
        return
    for _ in range(10):
        if roll < 0.7:
            pieces = cases.oddity(rng, b"o")
            if rng.random() < 0.5:
                pieces = cases.plain(rng, b"c") + pieces + cases.plain(rng, b"e")
            case = Case([pieces], [cases.tail(rng)], cut=rng.random() if rng.random() < 0.15 else None)
        else:
            layers = cases.image(rng)
            # umoci of Debian 12 reads no zstd.
            case = Case(layers, [cases.tail(rng) for _ in layers], [rng.choice(["", "+gzip"]) for _ in layers])
        yield (case, *verdict_of(judge, case), 1)


def worker(number, layercache, seed, until, results, place):
    judge = Judge(layercache, os.path.join(place, str(number)))
    index = number
    while time.monotonic() < until:
        of_round = f"{seed}.{index}"
        for part, (case, verdict, lines, count) in enumerate(round_of(judge, of_round)):
            path = ""
            if verdict == "FAULT":
                case, lines = minimise(judge, case, lines)
                path = save(case, f"{of_round}.{part}", lines)
            results.put((verdict, lines, path, count))
        index += WORKERS
    results.put(None)


def scratch():
    for root in (os.environ.get("TMPDIR"), "/dev/shm", "/tmp"):
        if root and os.access(root, os.W_OK):
            return tempfile.mkdtemp(prefix="layercache-fuzz-", dir=root)
    raise SystemExit("fuzz-images: no place for temporary files")


def again(layercache, path):
    names = sorted(name for name in os.listdir(path) if name.startswith("layer-"))
    tars = []
    for name in names:
        with open(os.path.join(path, name), "rb") as file:
            tars.append(file.read())
    place = scratch()
    try:
        verdict, lines = Judge(layercache, place).judge(tars, [name.partition(".tar")[2] for name in names])
    finally:
        shutil.rmtree(place, ignore_errors=True)
    print("\n".join([verdict] + lines))
    return 1 if verdict == "FAULT" else 0


def fuzz(layercache, seconds, seed):
    print(f"fuzz-images: seed {seed}, {seconds} s", flush=True)
    place, results = scratch(), multiprocessing.Queue()
    until = time.monotonic() + seconds
    workers = [multiprocessing.Process(target=worker, args=(number, layercache, seed, until, results, place))
               for number in range(WORKERS)]
    counts, running = collections.Counter(), WORKERS
    try:
        for process in workers:
            process.start()
        while running:
            try:
                result = results.get(timeout=5)
            except queue.Empty:
                if not any(process.is_alive() for process in workers):
                    counts["FAULT"] += 1
                    print("FAULT a worker ended before its time", flush=True)
                    break
                continue
            if result is None:
                running -= 1
                continue
            verdict, lines, path, count = result
            counts[verdict] += count
            if verdict == "FAULT" or verdict == "alone" and os.environ.get("FUZZ_VERBOSE"):
                print(f"{verdict} {path}", *("    " + line for line in lines[:8]), sep="\n", flush=True)
                if path:
                    print(f"    again: Scripts/fuzz-images --again {path}", flush=True)
    finally:
        for process in workers:
            process.join(10)
        shutil.rmtree(place, ignore_errors=True)
    print(f"fuzz-images: seed {seed}: {sum(counts.values())} cases: {counts['agree']} agree, {counts['refused']} refused by all"
          f" that decide, {counts['alone']} as GNU tar alone has them, {counts['known']} differ for a known reason,"
          f" {counts['FAULT']} faults")
    return 1 if counts["FAULT"] else 0


def main():
    layercache, first, *rest = sys.argv[1:]
    if first == "--again" and len(rest) == 1:
        return again(layercache, rest[0])
    seed = rest[0] if rest else str(random.SystemRandom().randrange(10**9))
    return fuzz(layercache, float(first), seed)


sys.exit(main())
