"""Many mutated files, some of each kind: ``python -m fuzz.run --cases 20000``.

A case follows from (seed, target, number) and can be repeated alone: ``python -m fuzz.run --target coco --only 17``.
Cases run in child processes, so that one which kills its process is a fault like the others.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from fuzz.guard import TooSlowError, measured
from fuzz.targets import TARGETS, Target
from maskrcnn.errors import MaskRCNNError

SECONDS, MEGABYTES = 20.0, 1500
CHUNK = 100


@dataclass
class Outcome:
    """What became of some cases of a target.

    Attributes:
        counts: cases by outcome: whole, part, refused, fault.
        faults: the number of each case that failed, and how.
        slowest, largest: seconds and bytes of the most expensive case.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[int, str]] = field(default_factory=list)
    slowest: float = 0.0
    largest: int = 0

    def add(self, other: Outcome) -> None:
        self.counts += other.counts
        self.faults += other.faults
        self.slowest, self.largest = max(self.slowest, other.slowest), max(self.largest, other.largest)


class Bench:
    """A target's good files in a folder; each case damages some of them, uses all, and puts them back."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self.target = name, folder, TARGETS[name]
        self.good, self.work = folder / "good", folder / "work"
        if not self.good.exists():
            self.good.mkdir(parents=True)
            self.target.make(self.good)
        self.files = [path for path in sorted(self.good.rglob("*")) if path.is_file() and self._mutation(path)]

    @functools.cached_property
    def whole(self) -> int:
        """How much of the good files is read."""
        return self.target.use(self.good)

    def _mutation(self, path: Path) -> object:
        mutations = self.target.mutations
        return mutations.get(path.suffix) or mutations.get("")

    def damage(self, seed: int, number: int) -> list[str]:
        """Write the files of a case: the good ones with one to three damaged. Returns their names."""
        rng = np.random.default_rng([seed, zlib.crc32(self.name.encode()), number])
        if self.work.exists():
            shutil.rmtree(self.work)
        shutil.copytree(self.good, self.work)
        chosen = rng.choice(len(self.files), size=min(int(rng.choice([1, 1, 1, 2, 3])), len(self.files)), replace=False)
        names = []
        for at in chosen:
            path = self.files[at]
            mutation = self.target.mutations.get(path.suffix) or self.target.mutations[""]
            name = path.relative_to(self.good)
            content = changed = path.read_bytes()
            while changed == content:
                changed = mutation(rng, content)
            (self.work / name).write_bytes(changed)
            names.append(str(name))
        return names

    def case(self, seed: int, number: int, seconds: float = SECONDS, megabytes: int = MEGABYTES) -> Outcome:
        """Run one case."""
        found, fault, cost = Outcome(), "", None
        names = self.damage(seed, number)
        kind = "fault"
        try:
            with measured(seconds) as cost, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read = self.target.use(self.work)
            kind = "whole" if read >= self.whole else "part" if read else "refused"
        except MaskRCNNError as error:
            kind = "refused"
            if len(str(error)) > 5000:
                kind, fault = "fault", f"a message of {len(str(error))} characters"
        except (Exception, TooSlowError):
            fault = traceback.format_exc(limit=-6)
        if cost is not None:
            found.slowest, found.largest = cost.seconds, cost.bytes
            if cost.bytes > megabytes * 2**20:
                kind, fault = "fault", fault or f"{cost.bytes / 2**20:.0f} MB"
        found.counts[kind] += 1
        if fault:
            found.faults.append((number, f"{', '.join(names)}: {fault}"))
        return found


def run_cases(name: str, folder: Path, seed: int, numbers: Sequence[int]) -> Outcome:
    """Some cases of a target, one after another in this process."""
    bench, total = Bench(name, folder), Outcome()
    for number in numbers:
        total.add(bench.case(seed, number))
    return total


def good_files(target: Target, folder: Path) -> int:
    """How much of the good files is read."""
    target.make(folder)
    return target.use(folder)


def _child(name: str, folder: Path, seed: int, numbers: Sequence[int], pipe: Connection) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # codecs write their complaints straight to stderr
    bench = Bench(name, folder)
    for number in numbers:
        pipe.send((number, None))
        pipe.send((number, bench.case(seed, number)))
    pipe.close()
    os._exit(0)


def _in_child(name: str, seed: int, numbers: Sequence[int]) -> Outcome:
    """As `run_cases`, in a process that may die of a case; the others then go on in a new one."""
    total, rest = Outcome(), list(numbers)
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        while rest:
            ours, theirs = context.Pipe(duplex=False)
            child = context.Process(target=_child, args=(name, Path(place), seed, rest, theirs))
            child.start()
            theirs.close()
            last = None
            try:
                while True:
                    number, outcome = ours.recv()
                    last = number
                    if outcome is not None:
                        total.add(outcome)
                        rest.remove(number)
            except EOFError:
                pass
            child.join()
            if rest and last in rest:
                total.counts["fault"] += 1
                total.faults.append((last, f"the process died: {child.exitcode}"))
                rest.remove(last)
            elif rest and last is None:
                raise RuntimeError(f"{name}: the process died before its first case: {child.exitcode}")
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", choices=list(TARGETS), action="append", help="only this; may be repeated")
    parser.add_argument("--only", type=int, help="run this case alone, in this process, and keep its files")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    names = options.target or list(TARGETS)
    if options.only is not None:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        bench = Bench(names[0], folder)
        print("files:", bench.work, flush=True)
        outcome = bench.case(options.seed, options.only)
        print(dict(outcome.counts), f"{outcome.slowest:.2f} s, {outcome.largest / 2**20:.0f} MB")
        for _, fault in outcome.faults:
            print(fault)
        return bool(outcome.faults)
    each = -(-options.cases // len(names))
    jobs = [(name, options.seed, range(at, min(at + CHUNK, each))) for at in range(0, each, CHUNK) for name in names]
    totals = {name: Outcome() for name in names}
    started = time.monotonic()
    with ThreadPoolExecutor(options.processes) as pool:
        for (name, _, _), outcome in zip(jobs, pool.map(lambda job: _in_child(*job), jobs), strict=True):
            totals[name].add(outcome)
            for number, fault in outcome.faults:
                print(f"--target {name} --seed {options.seed} --only {number}\n{fault}\n", flush=True)
    print(f"{'target':<12}{'cases':>7}{'whole':>7}{'part':>7}{'refused':>9}{'faults':>8}{'slowest':>9}{'largest':>10}")
    for name, found in totals.items():
        counts = [found.counts[kind] for kind in ("whole", "part", "refused", "fault")]
        cells = f"{sum(counts):>7}{counts[0]:>7}{counts[1]:>7}{counts[2]:>9}{counts[3]:>8}"
        print(f"{name:<12}{cells}{found.slowest:>7.1f} s{found.largest / 2**20:>7.0f} MB")
    faults = sum(found.counts["fault"] for found in totals.values())
    cases = sum(sum(found.counts.values()) for found in totals.values())
    print(f"{cases} cases in {time.monotonic() - started:.0f} s, {faults} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
