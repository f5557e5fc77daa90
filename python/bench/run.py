"""Measures the wheel beside others: see README.md."""

from __future__ import annotations

import argparse
import gc
import importlib.util
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from contenders import ALL, Contender

MODULES = {"lmdb": "lmdb", "rocksdict": "rocksdict", "plyvel": "plyvel", "cdbx": "cdbx"}
LOOKUPS = 200_000


def nanoseconds(work: Callable[[], Any], count: int) -> float:
    """Time of `work` for each of `count` things."""
    gc.collect()
    gc.disable()
    start = time.perf_counter_ns()
    work()
    taken = time.perf_counter_ns() - start
    gc.enable()
    return taken / count


def look_up(get: Callable[[bytes], bytes | None], keys: list[bytes]) -> Callable[[], None]:
    def work() -> None:
        for key in keys:
            get(key)

    return work


class Data:
    """Random entries, sorted and shuffled, and keys to look up."""

    def __init__(self, entries: int, seed: int) -> None:
        source = random.Random(seed)
        self.pairs = [(source.randbytes(16), source.randbytes(50) * 2) for _ in range(entries)]
        self.sorted = sorted(self.pairs)
        # Copies: the objects of the input are in nobody's cache.
        chosen = [self.pairs[source.randrange(entries)][0] for _ in range(LOOKUPS)]
        self.hits = [bytes(bytearray(key)) for key in chosen]
        self.misses = [source.randbytes(16) for _ in range(LOOKUPS)]
        columns = [pa.array([pair[part] for pair in self.pairs], pa.binary()) for part in (0, 1)]
        self.table = pa.table(columns, names=["key", "value"])


def measure(contender: Contender, data: Data) -> dict[str, float]:
    entries = len(data.pairs)
    row: dict[str, float] = {}
    if contender.name.startswith("sst"):
        contender.clear()
        row["load Arrow"] = nanoseconds(lambda: contender.load(data.table), entries)
        contender.clear()
        row["load shuffled"] = nanoseconds(lambda: contender.load(data.pairs), entries)
    contender.clear()
    row["load sorted"] = nanoseconds(lambda: contender.load(data.sorted), entries)
    contender.get = contender.open()
    # Warm: each entry is touched once.
    for key, _ in data.pairs:
        assert contender.get(key) is not None
    # A dict has the hash of a key that it was asked for; keys are new each time.
    for name, keys in (("hit", data.hits), ("miss", data.misses)):
        fresh = [bytes(bytearray(key)) for key in keys]
        row[name] = nanoseconds(look_up(contender.get, fresh), LOOKUPS)
    thousands = [data.hits[start : start + 1000] for start in range(0, LOOKUPS, 1000)]
    thousands = [[bytes(bytearray(key)) for key in keys] for keys in thousands]
    row["1,000 at once"] = nanoseconds(
        lambda: [contender.get_many(keys) for keys in thousands] and None, LOOKUPS
    )
    if contender.name.startswith("sst"):
        db = contender.db  # type: ignore[attr-defined]
        for count in (1000, 50_000):
            parts = [data.hits[start : start + count] for start in range(0, LOOKUPS, count)]
            arrays = [pa.array(keys, pa.binary()) for keys in parts]
            row[f"{count:,}, Arrow"] = nanoseconds(
                lambda: [db.get_many(keys, to="arrow") for keys in arrays] and None,
                LOOKUPS,
            )
        row["scan, Arrow"] = nanoseconds(lambda: pa.table(db.scan()), entries)
    row["iterate"] = nanoseconds(lambda: sum(1 for _ in contender.items()), entries)
    contender.close()
    return row


COLUMNS = [
    "hit", "miss", "1,000 at once", "1,000, Arrow", "50,000, Arrow", "iterate", "scan, Arrow",
    "load sorted", "load shuffled", "load Arrow",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="names of contenders")
    options = parser.parse_args()
    data = Data(options.entries, seed=1)
    present: list[type[Contender]] = []
    missing: list[type[Contender]] = []
    for contender in ALL:
        module = MODULES.get(contender.name)
        if options.only and contender.name not in options.only:
            continue
        is_there = module is None or importlib.util.find_spec(module) is not None
        (present if is_there else missing).append(contender)
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        for number in range(options.rounds):
            for contender in present[number % len(present) :] + present[: number % len(present)]:
                one = contender(Path(directory))
                for column, value in measure(one, data).items():
                    found.setdefault(one.name, {}).setdefault(column, []).append(value)
                one.clear()
                del one
    print(f"{options.entries:,} entries of 16 + 100 bytes, {options.rounds} rounds, medians, ns")
    print(f"Python {platform.python_version()}, {platform.machine()}\n")
    table = {name: {c: statistics.median(v) for c, v in row.items()} for name, row in found.items()}
    print("| | " + " | ".join(COLUMNS) + " |\n|---|" + "--:|" * len(COLUMNS))
    for contender in present:
        row = table[contender.name]
        cells = (f"{row[column]:,.0f}" if column in row else "-" for column in COLUMNS)
        print(f"| {contender.name} | " + " | ".join(cells) + " |")
    for contender in missing:
        print(f"NOT RUN: {contender.name} is not installed")
    print()
    goals(found)


def goals(found: dict[str, dict[str, list[float]]]) -> None:
    """Prints how the default of ours does against the goals: medians of the ratios within rounds."""
    ours = found.get("sst", {})

    def goal(text: str, ratios: list[float], limit: float) -> None:
        if ratios:
            ratio = statistics.median(ratios)
            print(f"{'met ' if ratio <= limit else 'NOT MET'} {text}: {ratio:.2f} (goal {limit:.2f})")

    def ratios(column: str, other: str) -> list[float]:
        rounds = zip(ours.get(column, []), found.get(other, {}).get(column, []), strict=False)
        return [own / theirs for own, theirs in rounds]

    goal("hit / dict's", ratios("hit", "dict"), 1.0)
    goal("hit / lmdb's", ratios("hit", "lmdb"), 0.5)
    goal("miss / dict's", ratios("miss", "dict"), 2.0)
    goal("ns for a key of 1,000 from Arrow", ours.get("1,000, Arrow", []), 1e9 / 3e6)
    goal("ns for a key of 50,000 from Arrow", ours.get("50,000, Arrow", []), 1e9 / 3e6)
    peers = [row["load sorted"] for name, row in found.items() if name in MODULES]
    loads = zip(ours.get("load Arrow", []), zip(*peers, strict=True), strict=False)
    goal("load of Arrow / fastest peer's sorted", [own / min(theirs) for own, theirs in loads], 1 / 3)


if __name__ == "__main__":
    main()
