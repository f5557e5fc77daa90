"""Compares `sst load` of damaged Parquet files with pyarrow.

    python referee.py path/to/sst [CASES [SEED]]

A file of this directory is changed at random: a bit is flipped, bytes are replaced, removed or inserted, or the end is
cut off. Then both read the same columns, in processes of their own, pyarrow with the checksums of pages. Rows that both
return must be the same; rows that only `sst` returns must be those of the file before the damage. Else the exit code is 1.
"""

import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.parquet

HERE = Path(__file__).resolve().parent
COLUMNS = ["small", "large", "flag", "float"]
FILES = ["none-1", "snappy-1", "snappy-2", "gzip-2", "lz4-1", "zstd-1", "zstd-2", "brotli-1"]


def damage(data, random):
    """A changed copy of the bytes, and what was done to it."""
    data = bytearray(data)
    # Half of the changes hit the metadata at the end, which is a small part of the file.
    metadata = int.from_bytes(data[-8:-4], "little") + 8
    first = len(data) - metadata if random.random() < 0.5 else 0
    place = random.randrange(first, len(data))
    how = random.choice(["flip", "flip", "replace", "remove", "insert", "cut"])
    if how == "flip":
        data[place] ^= 1 << random.randrange(8)
    elif how == "replace":
        data[place : place + 4] = random.randbytes(len(data[place : place + 4]))
    elif how == "remove":
        del data[place : place + random.randrange(1, 9)]
    elif how == "insert":
        data[place:place] = random.randbytes(random.randrange(1, 9))
    else:
        del data[place:]
    return bytes(data), f"{how} at {place} of {len(data)}"


def of_sst(sst, file, folder):
    """The rows that `sst load` reads, or None if it refuses the file, and its error."""
    db = folder / "db"
    columns = ["--key-column", "id", "--value-columns", ",".join(COLUMNS), "--value-format", "json"]
    loaded = subprocess.run(
        [sst, "load", file, db, "--quiet", "--duplicates", "keep", *columns], capture_output=True, check=False
    )
    if loaded.returncode == 3:
        return None, loaded.stderr.decode(errors="replace").strip()
    if loaded.returncode != 0:
        raise SystemExit(f"sst load ended with {loaded.returncode}: {loaded.stderr.decode(errors='replace')}")
    scanned = subprocess.run([sst, "scan", db, "--json"], capture_output=True, check=True)
    rows = []
    for line in scanned.stdout.splitlines():
        entry = json.loads(line)
        if "value" not in entry:
            raise SystemExit(f"not an entry with text: {line}")
        value = entry["value"]
        value = json.loads(value) if isinstance(value, str) else value
        rows.append((entry.get("key", entry.get("key_hex")), tuple(value[name] for name in COLUMNS)))
    return sorted(rows, key=repr), None


READ = """
import json, sys, pyarrow.parquet
table = pyarrow.parquet.read_table(sys.argv[1], columns=sys.argv[2:], page_checksum_verification=True)
table.validate(full=True)
for name in sys.argv[2:]:
    if name not in table.column_names:
        sys.exit(3)
for row in table.to_pylist():
    print(json.dumps([row[name] for name in sys.argv[2:]]))
"""


def of_pyarrow(file):
    """The rows that pyarrow reads, or None if it refuses the file. It may crash on damaged files."""
    read = subprocess.run(
        [sys.executable, "-c", READ, file, "id", *COLUMNS], capture_output=True, check=False, timeout=60
    )
    if read.returncode != 0:
        return None
    rows = []
    for line in read.stdout.splitlines():
        key, *values = json.loads(line)
        if key is None:
            continue
        rows.append((key, tuple(values)))
    return sorted(rows, key=repr)


def main():
    sst, cases, seed = sys.argv[1], int((sys.argv[2:] or ["200"])[0]), int((sys.argv[3:] or ["1"])[0])
    generator = random.Random(seed)
    counts, wrong = Counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        undamaged, _ = of_sst(sst, HERE / "none-1.parquet", folder)
        for case in range(cases):
            name = FILES[case % len(FILES)]
            bytes_, what = damage((HERE / f"{name}.parquet").read_bytes(), generator)
            file = folder / "damaged.parquet"
            file.write_bytes(bytes_)
            (ours, error), theirs = of_sst(sst, file, folder), of_pyarrow(file)
            if ours is not None and theirs is not None:
                verdict = "both read the same rows" if ours == theirs else "OTHER ROWS"
            else:
                verdict = {
                    (True, True): "both refuse",
                    (True, False): "only sst refuses",
                    (False, True): "only pyarrow refuses",
                }[ours is None, theirs is None]
            if verdict == "only pyarrow refuses" and ours != undamaged:
                verdict = "OTHER ROWS"
            counts[verdict] += 1
            if verdict not in ("both read the same rows", "both refuse"):
                print(f"{case}: {name}, {what}: {verdict}: {error}")
            wrong += verdict == "OTHER ROWS"
    print(f"pyarrow {pyarrow.__version__}, seed {seed}:", ", ".join(f"{n} {v}" for v, n in sorted(counts.items())))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
