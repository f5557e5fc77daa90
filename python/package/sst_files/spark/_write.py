"""`write_set`: from a frame to a commit."""

from __future__ import annotations

import hashlib
import re
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pyspark.errors import PySparkException

from .. import _errors, _native
from .._errors import ConflictError, InternalError, SstError, UsageError
from ._prepare import check_partitions, prepare
from ._source import SstDataSource
from ._writer import Manifest, patiently, read_manifest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: How often the digest of an increment is made again because another writer was faster.
ATTEMPTS = 5


@dataclass(frozen=True)
class WriteSetReport:
    """What `write_set` has done."""

    #: Number of the commit.
    commit: int
    #: Rows that were read.
    rows: int
    #: Entries of the new tables.
    entries: int
    #: How many of these delete their key.
    tombstones: int
    #: Rows that were left out, in favour of a newer one of their key or for a null.
    skipped: int
    #: New tables.
    tables: int
    #: Bytes of these.
    bytes: int
    #: The certificate, if it was asked for.
    certificate: _native.Certificate | None
    #: Files and claims of attempts that could not be removed, with the reasons.
    not_removed: list[str]


def write_set(
    frame: DataFrame,
    url: str,
    *,
    key: str,
    value: str,
    partitions: int | None = None,
    mode: str = "overwrite",
    certify: bool = False,
    duplicates: str = "error",
    newest_by: str | list[str] | None = None,
    nulls: str = "error",
    family: int = 0,
    compression: str = "lz4",
    keep_generations: int = 1,
    job: str | None = None,
) -> WriteSetReport:
    """Writes a frame as one commit of a set, in a bucket or a directory that all machines share.

    `key` and `value` name its columns (see `prepare`). The rows are divided into `partitions` equal
    ranges of hashes, by default `spark.sql.shuffle.partitions` of them; each is written by one task.
    `mode` is `"overwrite"` (all entries of the family) or `"append"`, an increment.

    `duplicates` tells what several rows of a key are: an `"error"`, or the `"newest"` by the columns
    `newest_by` counts, or `"keep"` all. `nulls` tells what a null as a value is: an `"error"`, or
    `"skip"` the row, or `"delete"` the key. A null as a key is an error.

    `certify` stores a digest of the live entries: each task reads back what it has written, and of
    an increment a second stage reads all that will be live. The driver reads no table.

    Until the commit, readers see the set as before; then all of it. Nothing stays of a job that
    fails. `job` names a job that is run again after its driver has died: what the earlier run has
    left is removed first, and its tasks that are still running fail. Other leftovers go with the
    first commit, or `gc`, a day later.

    Errors of tasks are raised as those of `sst_files`, from that of Spark. Needs a classic session,
    not Spark Connect.
    """
    if mode not in ("overwrite", "append"):
        raise UsageError(f'mode={mode!r} is neither "overwrite" nor "append"')
    spark = frame.sparkSession
    if partitions is None:
        partitions = int(str(spark.conf.get("spark.sql.shuffle.partitions")))
    check_partitions(partitions)
    prepared = prepare(
        frame, partitions, key=key, value=value, duplicates=duplicates, newest_by=newest_by
    )
    spark.dataSource.register(SstDataSource)
    with tempfile.TemporaryDirectory(prefix="sst-spark-") as folder:
        manifest = str(Path(folder, "manifest"))
        options: dict[str, Any] = {
            "partitions": partitions,
            "family": family,
            "duplicates": duplicates,
            "nulls": nulls,
            "compression": compression,
            "certify": str(certify).lower(),
            "manifest": manifest,
        }
        if job is not None:
            options["job"] = job_number(job)
        try:
            prepared.write.format("sst").options(**options).mode(mode).save(url)
        except PySparkException as error:
            raise_typed(error)
        written = read_manifest(manifest)
    publication = Publication(url, written, mode, partitions, family, certify, keep_generations)
    try:
        return publication.publish(spark)
    except BaseException as error:
        # A commit that may be live keeps its files.
        if not isinstance(error, _errors.CommitLiveError):
            abandon(url, written.job)
        raise


def job_number(name: str) -> int:
    """The number of a job with a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def abandon(url: str, job: int) -> None:
    """Removes what a job has left. What cannot be removed goes later: the job's error counts."""
    try:
        patiently(_native.spark_end_job, url, job)
    except SstError as error:
        warnings.warn(f"{url}: leftovers of job {job} stay for a day: {error}", stacklevel=3)


@dataclass
class Publication:
    """The commit of what the tasks report."""

    url: str
    manifest: Manifest
    mode: str
    partitions: int
    family: int
    certify: bool
    keep_generations: int

    def publish(self, spark: SparkSession) -> WriteSetReport:
        if not (self.certify and self.mode == "append"):
            return self.commit()
        for attempt in range(ATTEMPTS):
            newest = _native.spark_newest(self.url, self.family)
            base = None if newest is None else newest[0]
            try:
                contents = self.digests(spark, base)
                return self.commit(contents=contents, base=base, check_base=True)
            except ConflictError:
                # Another writer was faster: what will be live is something else now.
                if attempt == ATTEMPTS - 1:
                    raise
        raise InternalError("the last attempt returns or raises")

    def commit(self, **certification: Any) -> WriteSetReport:
        messages = self.manifest.messages
        published, not_removed = patiently(
            _native.spark_commit,
            self.url,
            [message.report for message in messages],
            job=self.manifest.job,
            mode="replace" if self.mode == "overwrite" else "append",
            family=self.family,
            certify=self.certify,
            keep_generations=self.keep_generations,
            **certification,
        )
        if published.commit is None:
            raise InternalError("what is published has a number")
        return WriteSetReport(
            commit=published.commit,
            rows=sum(message.rows for message in messages),
            entries=sum(message.entries for message in messages),
            tombstones=sum(message.tombstones for message in messages),
            skipped=sum(message.skipped for message in messages),
            tables=sum(message.tables for message in messages),
            bytes=sum(message.bytes for message in messages),
            certificate=published.certificate,
            not_removed=not_removed,
        )

    def digests(self, spark: SparkSession, base: int | None) -> list[bytes]:
        """The second stage of an increment: each task reads one range, old tables and new ones."""
        url, partitions, family = self.url, self.partitions, self.family
        rows = list(self.outlines().items())

        def digest(batches: Iterator[Any]) -> Iterator[Any]:
            import pyarrow

            for batch in batches:
                for number, report in zip(*(it.to_pylist() for it in batch.columns), strict=True):
                    found = _native.spark_range_digest(
                        url, report, base=base, range=number, ranges=partitions, family=family
                    )
                    columns = [pyarrow.array([number], "int32"), pyarrow.array([found])]
                    yield pyarrow.record_batch(columns, names=["range", "digest"])

        frame = spark.createDataFrame(rows, "range int, report binary")
        divided = frame.repartitionById(partitions, "range")
        try:
            digests = divided.mapInArrow(digest, "range int, digest binary").collect()
        except PySparkException as error:
            raise_typed(error)
        if sorted(row["range"] for row in digests) != list(range(partitions)):
            raise InternalError("each range of an increment has one digest")
        return [bytes(row["digest"]) for row in digests]

    def outlines(self) -> dict[int, bytes | None]:
        """The description of the new tables of each range, without filters; `None` without any."""
        messages = self.manifest.messages
        outlines = {
            message.range: _native.spark_outline(message.report)
            for message in messages
            if message.range is not None
        }
        return {number: outlines.get(number) for number in range(self.partitions)}


#: An exception of this package, as the last line of a worker's traceback has it.
RAISED = re.compile(r"^sst_files\._errors\.(\w+): (.*)$", re.MULTILINE)


def raise_typed(error: PySparkException) -> NoReturn:
    """Raises the error of this package that a task has raised; that of Spark, if it was another."""
    for name, text in reversed(RAISED.findall(str(error))):
        kind = getattr(_errors, name, None)
        if isinstance(kind, type) and issubclass(kind, SstError):
            raise kind(text) from error
    raise error
