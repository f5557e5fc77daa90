"""Spark: jobs on a local cluster, two executors of one core each. `python/spark/check` runs them."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark")

import pyarrow
import sst_files
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from sst_files.spark import prepare, write_set

pytestmark = pytest.mark.filterwarnings("ignore")

#: Rows of the large job.
ROWS = 200_000

OPERATIONS = Path(__file__).parents[2] / "docs" / "OPERATIONS.md"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str | None]:
    """The URL of an empty bucket of moto's server. `None` without moto, or without TLS in the wheel."""
    try:
        sst_files.certificate("s3://bucket/none")
    except sst_files.UsageError:
        yield None
        return
    except sst_files.SstError:
        pass
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
            patch.setenv(f"AWS_{name}", "test")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT", f"http://{host}:{port}")
        patch.setenv("AWS_ALLOW_HTTP", "true")
        request = urllib.request.Request(f"http://{host}:{port}/sets", method="PUT")
        urllib.request.urlopen(request).close()
        yield "s3://sets/fruit.db"
    server.stop()


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory, bucket: str | None) -> Iterator[SparkSession]:
    """A session on a cluster of two executors, or on that of `SST_SPARK_MASTER`."""
    master = os.environ.get("SST_SPARK_MASTER", "local-cluster[2,1,1024]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        # Little code is hot in tests: a third of the time goes into compiling it well otherwise.
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        patch.setenv("SPARK_WORKER_DIR", str(tmp_path_factory.mktemp("workers")))
        session = (
            SparkSession.builder.master(master)
            .config("spark.executor.memory", "700m")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.sql.shuffle.partitions", "4")
            .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
            .config("spark.sql.python.filterPushdown.enabled", "true")
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("OFF")
        yield session
        session.stop()


def numbered(spark: SparkSession, start: int, end: int, word: str) -> DataFrame:
    """Rows with the columns `k` and `v`."""
    rows = spark.range(start, end, 1, 2)
    key = f.concat(f.lit("key "), "id").alias("k")
    return rows.select(key, f.concat(f.lit(word), "id").alias("v"))


def frame_of(spark: SparkSession, rows: list[tuple[Any, ...]], schema: str) -> DataFrame:
    return spark.createDataFrame(rows, schema).repartition(2)


def files_of(path: Path) -> list[str]:
    return sorted(str(it.relative_to(path)) for it in path.rglob("*") if it.is_file())


def fail_once(rows: DataFrame, marks: Path) -> DataFrame:
    """The same rows; the task of partition 2 raises at its first attempt, after it has given some."""

    def pass_on(batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        for batch in batches:
            yield batch
            if context.partitionId() == 2 and context.attemptNumber() == 0:
                (marks / "failed").touch()
                raise RuntimeError("a failure that was injected")

    return rows.mapInArrow(pass_on, "key binary, value binary")


def test_a_job_survives_a_failed_task(spark: SparkSession, path: Path, tmp_path: Path) -> None:
    frame = numbered(spark, 0, ROWS, "one ")
    rows = fail_once(prepare(frame, 4, key="k", value="v"), tmp_path)
    writer = rows.write.format("sst").option("partitions", 4).option("certify", "true")
    writer.mode("overwrite").save(path.as_uri())
    assert (tmp_path / "failed").exists()
    # The certificate is that of a load of the same rows, and nothing is left of the failed task.
    loaded = tmp_path / "loaded"
    pairs = ((f"key {i}", f"one {i}") for i in range(ROWS))
    report = sst_files.load(loaded, pairs, certify=True)
    assert sst_files.certificate(path) == report.certificate
    assert len([name for name in files_of(path) if name.endswith(".sst")]) == 4
    assert not [name for name in files_of(path) if name.startswith("claims/")]
    assert not sst_files.verify(path).damage


def test_an_increment_is_certified_joins_and_is_rolled_back(
    spark: SparkSession, path: Path, tmp_path: Path
) -> None:
    loaded = tmp_path / "loaded"
    frame = numbered(spark, 0, 20_000, "one ")
    first = write_set(frame, str(path), key="k", value="v", certify=True)
    pairs = ((f"key {i}", f"one {i}") for i in range(20_000))
    assert sst_files.load(loaded, pairs, certify=True).certificate == first.certificate
    # An increment, certified by a second stage.
    more = numbered(spark, 19_500, 20_500, "two ")
    appended = write_set(
        more, str(path), key="k", value="v", partitions=3, mode="append", certify=True
    )
    pairs = ((f"key {i}", f"two {i}") for i in range(19_500, 20_500))
    expected = sst_files.load(loaded, pairs, mode="append", certify=True).certificate
    assert appended.certificate == expected
    assert (appended.rows, appended.entries, appended.not_removed) == (1000, 1000, [])

    # It is read back, by several tasks, and joins.
    source = spark.read.format("sst").schema("key string, value string").option("partitions", 3)
    read = source.load(str(path))
    joined = read.join(more, read.key == more.k)
    assert joined.where("value = v").count() == 1000
    assert read.count() == 20_500

    # And back to the set before it.
    sst_files.rollback(path)
    assert sst_files.certificate(path) == first.certificate


def test_a_bucket(spark: SparkSession, bucket: str | None, tmp_path: Path) -> None:
    """`SST_CLOUD=1 spark/check -k bucket`."""
    if bucket is None:
        pytest.skip("the wheel was built without TLS")
    frame = numbered(spark, 0, 20_000, "one ")
    rows = fail_once(prepare(frame, 4, key="k", value="v"), tmp_path)
    writer = rows.write.format("sst").option("partitions", 4).option("certify", "true")
    writer.mode("overwrite").save(bucket)
    assert (tmp_path / "failed").exists()
    loaded = tmp_path / "loaded"
    pairs = ((f"key {i}", f"one {i}") for i in range(20_000))
    first = sst_files.load(loaded, pairs, certify=True).certificate
    assert sst_files.certificate(bucket) == first
    more = numbered(spark, 19_000, 21_000, "two ")
    appended = write_set(
        more, bucket, key="k", value="v", partitions=3, mode="append", certify=True
    )
    pairs = ((f"key {i}", f"two {i}") for i in range(19_000, 21_000))
    expected = sst_files.load(loaded, pairs, mode="append", certify=True).certificate
    assert appended.certificate == expected
    assert not sst_files.verify(bucket).damage
    read = spark.read.format("sst").schema("key string, value string").load(bucket)
    joined = read.join(more, read.key == more.k)
    assert (read.count(), joined.where("value = v").count()) == (21_000, 2000)
    # Nothing is left but what the two commits have.
    assert sst_files.gc(bucket, grace=0) == 0
    with pytest.raises(sst_files.DuplicateKeyError):
        write_set(more.union(more), bucket, key="k", value="v")
    assert sst_files.gc(bucket, grace=0) == 0
    sst_files.rollback(bucket)
    assert sst_files.certificate(bucket) == first


def test_the_nightly_job_of_the_documentation(
    spark: SparkSession, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script of docs/OPERATIONS.md, with folders in place of the lake and the bucket."""
    text = OPERATIONS.read_text()
    script = text[text.index("# nightly.py DAY\n") :].partition("```")[0]
    lake = tmp_path / "lake"
    for old, new in [
        ("s3a://lake/products", lake.as_uri()),
        ("s3://bucket/products.db", str(path)),
        ("1_000_000", "1_000"),
        ("partitions=64", "partitions=4"),
    ]:
        assert script.count(old) == 1, old
        script = script.replace(old, new)
    counts = {"2026-11-29": 1500, "2026-11-30": 1600, "2026-12-01": 900}
    for day, count in counts.items():
        rows = spark.range(count).select(
            f.concat(f.lit("sku-"), "id").alias("sku"),
            f.concat(f.lit("name "), "id").alias("name"),
            (f.col("id") / 100).alias("price"),
        )
        rows.write.parquet(str(lake / f"day={day}"))

    def run(day: str) -> None:
        monkeypatch.setattr("sys.argv", ["nightly.py", day])
        exec(compile(script, "nightly.py", "exec"), {})

    run("2026-11-29")
    run("2026-11-29")
    run("2026-11-30")
    good = sst_files.certificate(path)
    assert (good.entries, len(sst_files.open(path))) == (1600, 1600)
    assert sst_files.open(path)["sku-7"] == b'{"name":"name 7","price":0.07}'
    with pytest.raises(AssertionError):
        run("2026-12-01")
    # The row "go back" of the table beside it.
    sst_files.rollback(path)
    assert sst_files.certificate(path) == good
    assert not [name for name in files_of(path) if name.startswith("claims/")]


def test_keys_are_looked_up(spark: SparkSession, path: Path) -> None:
    sst_files.load(path, [("a", "1"), ("b", "2"), ("c", "3"), ("c", "4")], duplicates="keep")
    sst_files.load(path, [("b", "5")], mode="append")
    reader = spark.read.format("sst").option("filters", "true").schema("value string, key string")
    read = reader.load(str(path))
    for condition, values in [
        ("key = 'b'", ["5"]),
        ("key in ('c', 'x', 'a')", ["1", "3", "4"]),
        ("key = 'c' and value > '3'", ["4"]),
        ("key = 'a' and key = 'b'", []),
        ("key like 'b%'", ["5"]),
    ]:
        found = read.where(condition)
        assert sorted(row.value for row in found.collect()) == values, condition
        # Conditions on keys are gone from the plan: the source answers them.
        plan = found._jdf.queryExecution().executedPlan().toString().splitlines()
        filters = [line for line in plan if "Filter" in line and "Batch" not in line]
        assert any("key#" in line for line in filters) == ("like" in condition), plan
    keys = spark.read.format("sst").schema("key string").load(str(path))
    assert sorted(row.key for row in keys.collect()) == ["a", "b", "c", "c"]


def test_rows_follow_the_rules(spark: SparkSession, path: Path) -> None:
    schema = "k string, v string, at int"
    frame = frame_of(
        spark,
        [("a", "old", 1), ("a", "new", 2), ("b", None, 1), ("c", "x", 1), ("c", "y", 1)],
        schema,
    )
    report = write_set(
        frame, str(path), key="k", value="v", duplicates="newest", newest_by="at", nulls="skip"
    )
    # Rows that are equally new are told apart by their values.
    assert dict(sst_files.open(path).items()) == {b"a": b"new", b"c": b"y"}
    assert (report.rows, report.entries, report.skipped) == (5, 2, 3)
    frame = frame_of(spark, [("a", None, 1), ("d", "z", 1)], schema)
    report = write_set(
        frame, str(path), key="k", value="v", nulls="delete", mode="append", partitions=50
    )
    assert dict(sst_files.open(path).items()) == {b"c": b"y", b"d": b"z"}
    assert (report.tombstones, report.tables) == (1, 2)
    frame = frame_of(spark, [("a", "2", 1), ("a", "1", 1), ("a", "1", 1)], schema)
    write_set(frame, str(path), key="k", value="v", duplicates="keep", family=3)
    assert sst_files.open(path, family=3).get_all("a") == [b"1", b"1", b"2"]


def test_numbers_bytes_and_long_values(spark: SparkSession, path: Path) -> None:
    long = b"long" * (17 << 20)
    frame = frame_of(spark, [(1, b"one"), (-2, long)], "`a key` long, v binary")
    write_set(frame, str(path), key="a key", value="v", certify=True, partitions=2)
    assert dict(sst_files.open(path).items()) == {b"1": b"one", b"-2": long}
    read = spark.read.format("sst").load(str(path))
    assert dict(read.rdd.map(tuple).collect()) == {b"1": b"one", b"-2": long}


def test_what_is_wrong_is_a_typed_error_and_nothing_stays(spark: SparkSession, path: Path) -> None:
    sst_files.load(path, {"before": "1"})
    before = files_of(path)
    schema = "k string, v string"
    refused: list[tuple[list[tuple[Any, ...]], type[Exception]]] = [
        ([("a", "1"), ("a", "2")], sst_files.DuplicateKeyError),
        ([("a", None)], sst_files.EntryError),
        ([(None, "1")], sst_files.EntryError),
    ]
    for rows, error in refused:
        with pytest.raises(error):
            write_set(frame_of(spark, rows, schema), str(path), key="k", value="v")
    good = frame_of(spark, [("a", "1")], schema)
    wrong: list[dict[str, Any]] = [
        {"key": "x"},
        {"duplicates": "newest"},
        {"nulls": "delete", "duplicates": "keep"},
        {"mode": "ignore"},
        {"partitions": 0},
    ]
    for arguments in wrong:
        with pytest.raises(sst_files.UsageError):
            write_set(good, str(path), **{"key": "k", "value": "v", **arguments})
    with pytest.raises(sst_files.UsageError):
        write_set(good.withColumn("v", f.lit(1.5)), str(path), key="k", value="v")
    assert files_of(path) == before
    assert dict(sst_files.open(path).items()) == {b"before": b"1"}


def test_only_prepared_rows_are_written(spark: SparkSession, path: Path) -> None:
    frame = numbered(spark, 0, 100, "v")
    rows = frame.select(
        f.col("k").cast("binary").alias("key"), f.col("v").cast("binary").alias("value")
    )
    ordered = prepare(frame, 4, key="k", value="v")
    for unprepared in [
        rows,
        rows.orderBy("key"),
        ordered.coalesce(1),
        ordered.sortWithinPartitions("key"),
    ]:
        with pytest.raises(Exception, match=r"EntryError"):
            unprepared.write.format("sst").option("partitions", 4).mode("append").save(str(path))
    # One range each, but in more than one task: every task is in order, and so is one of one row.
    halves = ordered.union(prepare(frame, 4, key="k", value="v"))
    with pytest.raises(Exception, match=r"sst_files\._errors\.UsageError: two tasks"):
        halves.write.format("sst").option("partitions", 4).mode("append").save(str(path))
    wrong: list[dict[str, Any]] = [{}, {"partitions": "x"}, {"partitions": 4, "partition": 4}]
    for options in wrong:
        with pytest.raises(Exception, match="UsageError"):
            ordered.write.format("sst").options(**options).mode("append").save(str(path))
    assert not [name for name in files_of(path) if name.endswith((".sst", ".meta"))]


def test_the_content_does_not_depend_on_the_partitions(spark: SparkSession, tmp_path: Path) -> None:
    frame = numbered(spark, 0, 3000, "v")
    tables = []
    certificates = set()
    for run, partitions in enumerate([1, 5, 5]):
        path = tmp_path / str(run)
        report = write_set(
            frame, str(path), key="k", value="v", partitions=partitions, certify=True
        )
        certificates.add(report.certificate)
        tables.append(sorted(it.read_bytes() for it in path.glob("*.sst")))
    assert len(certificates) == 1
    # The same partitions give the same bytes.
    assert tables[1] == tables[2] != tables[0]


def test_a_job_that_is_run_again_removes_what_the_first_run_has_left(
    spark: SparkSession, path: Path, tmp_path: Path
) -> None:
    frame = numbered(spark, 0, 100, "v")
    write_set(frame, str(path), key="k", value="v", job="nightly")
    rows = prepare(frame, 2, key="k", value="v")
    # A driver that dies after its tasks, before the commit.
    number = int.from_bytes(hashlib.sha256(b"nightly").digest()[:4], "big")
    manifest = str(tmp_path / "manifest")
    options: dict[str, Any] = {"partitions": 2, "job": number, "manifest": manifest}
    rows.write.format("sst").options(**options).mode("append").save(str(path))
    assert len([name for name in files_of(path) if name.startswith("claims/")]) == 2
    write_set(frame, str(path), key="k", value="v", job="nightly", partitions=2)
    left = [name for name in files_of(path) if name.startswith("claims/")]
    tables = [name for name in files_of(path) if name.endswith(".sst")]
    assert (left, len(tables)) == ([], 2 + 4)
