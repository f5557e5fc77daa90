#!/usr/bin/env python3
"""Times a job of Spark that writes a set beside the same job that writes Parquet, in one run.

    python/spark/check                      # makes the environment
    maturin build --release --out target/wheels && pip install --force-reinstall --no-deps target/wheels/*.whl
    python bench/spark.py [--rows 10000000] [--runs 3] [--parts]

A standalone cluster of one master and two workers runs on 127.0.0.1 and 127.0.0.2, one core each.
Rows have keys of 16 and values of 100 bytes, which no compressor makes shorter; they are read from
Parquet. The other job is `repartitionByRange(key)`, sorted within
partitions, to Parquet with snappy. Jobs take turns, after a small one of each; the ratio is that of
the fastest runs. A certified job is reported beside them, and with `--parts` what the ways of rows
cost: jobs that stop after the shuffle and sort, or after Python has seen the batches.

The certificate is compared with that of `sst_files.load` of the same rows where there are at most
`--check` of them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "spark"))

import pyarrow.dataset
import sst_files
from cluster import Cluster
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from sst_files.spark import prepare, write_set

#: Rows of the jobs before the first measured one, which start Python and compile what is hot.
WARM_UP = 100_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--check", type=int, default=20_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    # The cluster is stopped, too, if this is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="sst-spark-bench-", dir=arguments.folder))
    os.environ["SPARK_LOCAL_DIRS"] = str(folder)
    cluster = Cluster(folder, cores=1)
    try:
        run(cluster.url, folder, arguments)
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def session(master: str, partitions: int) -> SparkSession:
    spark = (
        SparkSession.builder.master(master)
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.executor.memory", "1g")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", str(partitions))
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def made_up(spark: SparkSession, rows: int, partitions: int) -> DataFrame:
    """Rows whose keys and values are hashes."""
    text = f.col("id").cast("string").cast("binary")
    key = f.unhex(f.md5(text)).alias("key")
    digits = f.concat(f.sha2(text, 512), f.substring(f.sha2(text, 384), 1, 72))
    value = f.unhex(digits).alias("value")
    return spark.range(0, rows, 1, partitions).select(key, value)


class Jobs:
    """The jobs that are compared, each of which takes rows."""

    def __init__(self, folder: Path, partitions: int, parts: bool) -> None:
        self.folder = folder
        self.partitions = partitions
        self.bytes = 0
        self.jobs: dict[str, Callable[[DataFrame], Any]] = {
            "parquet": self.parquet,
            "set": self.set,
            "certified set": self.certified_set,
        }
        if parts:
            self.jobs |= {
                "parquet, to the sort": self.ordered_for_parquet,
                "set, to the sort": self.ordered_for_a_set,
                "set, to Python": self.seen_by_python,
            }

    def range_ordered(self, rows: DataFrame) -> DataFrame:
        return rows.repartitionByRange(self.partitions, "key").sortWithinPartitions("key")

    def parquet(self, rows: DataFrame) -> None:
        writer = self.range_ordered(rows).write.mode("overwrite").option("compression", "snappy")
        writer.parquet(str(self.folder / "parquet"))

    def set(self, rows: DataFrame) -> None:
        path = str(self.folder / "db")
        report = write_set(rows, path, key="key", value="value", partitions=self.partitions)
        self.bytes = report.bytes

    def certified_set(self, rows: DataFrame) -> None:
        path = str(self.folder / "certified")
        write_set(rows, path, key="key", value="value", partitions=self.partitions, certify=True)

    def ordered_for_parquet(self, rows: DataFrame) -> None:
        self.range_ordered(rows).write.format("noop").mode("overwrite").save()

    def ordered_for_a_set(self, rows: DataFrame) -> None:
        prepared = prepare(rows, self.partitions, key="key", value="value")
        prepared.write.format("noop").mode("overwrite").save()

    def seen_by_python(self, rows: DataFrame) -> None:
        def count(batches: Iterator[Any]) -> Iterator[Any]:
            total = sum(batch.num_rows for batch in batches)
            yield pyarrow.record_batch([pyarrow.array([total])], names=["rows"])

        prepared = prepare(rows, self.partitions, key="key", value="value")
        prepared.mapInArrow(count, "rows long").collect()


def run(master: str, folder: Path, arguments: argparse.Namespace) -> None:
    spark = session(master, arguments.partitions)
    for name, count in [("warm-up", WARM_UP), ("input", arguments.rows)]:
        made = made_up(spark, count, arguments.partitions)
        made.write.option("compression", "none").parquet(str(folder / name))
    jobs = Jobs(folder, arguments.partitions, arguments.parts)
    times: dict[str, list[float]] = {name: [] for name in jobs.jobs}
    for name, job in jobs.jobs.items():
        job(spark.read.parquet(str(folder / "warm-up")))
    for _ in range(arguments.runs):
        for name, job in jobs.jobs.items():
            started = time.monotonic()
            job(spark.read.parquet(str(folder / "input")))
            times[name].append(time.monotonic() - started)
            print(f"{name}: {times[name][-1]:.1f} s", flush=True)
    best = {name: min(taken) for name, taken in times.items()}
    for name, seconds in best.items():
        print(f"{name}: best {seconds:.1f} s, {seconds / best['parquet']:.2f} of parquet")
    parquet = sum(it.stat().st_size for it in (folder / "parquet").iterdir())
    sizes = [f"{size / arguments.rows:.1f}" for size in (parquet, jobs.bytes)]
    print(f"bytes a row: {sizes[0]} in parquet, {sizes[1]} in tables")
    found = sst_files.certificate(folder / "certified")
    print(f"certificate: {found}")
    if arguments.rows <= arguments.check:
        whole = folder / "whole"
        rows = pyarrow.dataset.dataset(folder / "input", format="parquet").scanner().to_reader()
        started = time.monotonic()
        loaded = sst_files.load(whole, rows, key="key", value="value", certify=True)
        print(f"load, one process: {time.monotonic() - started:.1f} s")
        assert loaded.certificate == found
        print("the certificate is that of a load of the same rows")
    spark.stop()


if __name__ == "__main__":
    main()
