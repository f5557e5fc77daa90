#!/usr/bin/env python3
"""Times a job of Spark that writes a set beside the same job that writes Parquet, in one run.

    python/spark/check                      # makes the environment
    maturin build --release --out target/wheels && pip install --force-reinstall --no-deps target/wheels/*.whl
    python bench/spark.py [--rows 10000000] [--runs 3]

A standalone cluster of one master and two workers runs on 127.0.0.1 and 127.0.0.2, one core each.
Rows have keys of 16 and values of 100 bytes. The other job is `repartitionByRange(key)`, sorted
within partitions, to Parquet with snappy. Jobs take turns; the ratio is that of the fastest runs. A
certified job is reported beside them. The certificate is compared with that of `sst_files.load` of
the same rows where there are at most `--check` of them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "spark"))

import sst_files
from cluster import Cluster
from pyspark.sql import SparkSession
from pyspark.sql import functions as f
from sst_files.spark import write_set


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--check", type=int, default=20_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    folder = Path(tempfile.mkdtemp(prefix="sst-spark-bench-", dir=arguments.folder))
    os.environ["SPARK_LOCAL_DIRS"] = str(folder)
    cluster = Cluster(folder, cores=1)
    try:
        run(cluster.url, folder, arguments)
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def run(master: str, folder: Path, arguments: argparse.Namespace) -> None:
    spark = (
        SparkSession.builder.master(master)
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.executor.memory", "1g")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", str(arguments.partitions))
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    numbers = spark.range(0, arguments.rows, 1, arguments.partitions)
    text = f.col("id").cast("string").cast("binary")
    key = f.unhex(f.md5(text)).alias("key")
    value = f.unhex(f.concat(f.sha2(text, 512), f.substring(f.sha2(text, 384), 1, 72))).alias(
        "value"
    )
    rows = numbers.select(key, value)
    partitions = arguments.partitions

    def parquet() -> None:
        ordered = rows.repartitionByRange(partitions, "key").sortWithinPartitions("key")
        writer = ordered.write.mode("overwrite").option("compression", "snappy")
        writer.parquet(str(folder / "parquet"))

    def plain() -> None:
        write_set(rows, str(folder / "db"), key="key", value="value", partitions=partitions)

    def certified() -> None:
        path = str(folder / "certified")
        write_set(rows, path, key="key", value="value", partitions=partitions, certify=True)

    jobs = {"parquet": parquet, "set": plain, "certified set": certified}
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(arguments.runs):
        for name, job in jobs.items():
            started = time.monotonic()
            job()
            times[name].append(time.monotonic() - started)
            print(f"{name}: {times[name][-1]:.1f} s", flush=True)
    best = {name: min(taken) for name, taken in times.items()}
    for name in ("set", "certified set"):
        print(f"{name} / parquet: {best[name] / best['parquet']:.2f}")
    found = sst_files.certificate(folder / "certified")
    print(f"certificate: {found}")
    if arguments.rows <= arguments.check:
        whole = folder / "whole"
        read = spark.read.parquet(str(folder / "parquet"))
        import pyarrow.dataset

        dataset = pyarrow.dataset.dataset(read.inputFiles())
        sst_files.load(whole, dataset.scanner().to_reader(), key="key", value="value", certify=True)
        assert sst_files.certificate(whole) == found
        print("the certificate is that of a load of the same rows")
    spark.stop()


if __name__ == "__main__":
    main()
