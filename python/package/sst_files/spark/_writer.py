"""Writing a set: tasks write tables under claimed numbers, the driver publishes them."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from pyspark.sql.datasource import DataSourceArrowWriter, WriterCommitMessage

from .. import _native
from .._errors import InternalError, LockedError
from ._options import WriteOptions

Result = TypeVar("Result")

#: How long a job waits for the lock of a directory, and how often it tries, in seconds.
LOCK_SECONDS = 60.0
LOCK_INTERVAL = 0.1


@dataclass
class TaskMessage(WriterCommitMessage):
    """What a task has written, for the driver."""

    #: The description of its tables.
    report: bytes
    #: The number of its range; `None` if it had no row.
    range: int | None
    rows: int
    entries: int
    tombstones: int
    skipped: int
    tables: int
    bytes: int


@dataclass
class Manifest:
    """What the tasks of a job report, for a caller who publishes it."""

    job: int
    messages: list[TaskMessage]


class SstWriter(DataSourceArrowWriter):
    """One job. It is made on the driver, and copied to the tasks and to the commit."""

    def __init__(self, options: WriteOptions) -> None:
        self.options = options
        self.job = patiently(_native.spark_begin_job, options.path, job=options.job)

    def write(self, iterator: Iterator[Any]) -> TaskMessage:
        """Writes the rows of one range: runs in a task."""
        import pyarrow

        options = self.options
        first = next(iterator, None)
        if first is None:
            schema = pyarrow.schema([("key", pyarrow.binary()), ("value", pyarrow.binary())])
            batches = pyarrow.RecordBatchReader.from_batches(schema, [])
        else:
            rows = chain([first], iterator)
            batches = pyarrow.RecordBatchReader.from_batches(first.schema, rows)
        written = _native.spark_write_task(
            options.path,
            batches,
            job=self.job,
            ranges=options.partitions,
            family=options.family,
            duplicates=options.duplicates,
            nulls=options.nulls,
            compression=options.compression,
            certify=options.certify,
        )
        return TaskMessage(
            report=written.report,
            range=written.range,
            rows=written.rows,
            entries=written.entries,
            tombstones=written.tombstones,
            skipped=written.skipped,
            tables=written.tables,
            bytes=written.bytes,
        )

    def commit(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Publishes what the winning attempts report: runs on the driver's machine."""
        reports = [message for message in messages if isinstance(message, TaskMessage)]
        if len(reports) != len(messages):
            raise InternalError("each task of a job that has succeeded reports")
        options = self.options
        if options.manifest is not None:
            write_manifest(options.manifest, Manifest(self.job, reports))
            return
        patiently(
            _native.spark_commit,
            options.path,
            [message.report for message in reports],
            job=self.job,
            mode="replace" if options.overwrite else "append",
            family=options.family,
            certify=options.certify,
            keep_generations=options.keep_generations,
        )

    def abort(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Removes what the tasks of a job that failed have written."""
        patiently(_native.spark_end_job, self.options.path, self.job)


def patiently(act: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
    """Calls a function that needs the lock of a directory, which another job may hold for a
    moment: the work of a cluster is not thrown away for that."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return act(*arguments, **options)
        except LockedError:
            if time.monotonic() > deadline:
                raise
        time.sleep(LOCK_INTERVAL)


def write_manifest(path: str, manifest: Manifest) -> None:
    """Writes a manifest, whole or not at all."""
    part = f"{path}.part"
    with open(part, "wb") as file:
        pickle.dump(manifest, file)
    os.replace(part, path)


def read_manifest(path: str) -> Manifest:
    """The manifest that the commit of this process's own job has written."""
    with open(path, "rb") as file:
        manifest = pickle.load(file)
    if not isinstance(manifest, Manifest):
        raise InternalError(f"{path} is not a manifest")
    return manifest
