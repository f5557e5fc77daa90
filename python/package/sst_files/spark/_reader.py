"""Reading a set: each task reads one range of hashes, as batches of Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pyspark.sql.datasource import (
    DataSourceReader,
    EqualNullSafe,
    EqualTo,
    Filter,
    In,
    InputPartition,
    IsNotNull,
)
from pyspark.sql.types import BinaryType, StringType, StructType

from .. import _native
from .._errors import NotFoundError, UsageError
from ._options import family_in, number_in, path_in

#: Entries for each task, unless the option `partitions` says how many tasks there are.
ENTRIES_PER_PARTITION = 1_000_000
#: Keys for each task that looks them up.
KEYS_PER_PARTITION = 10_000


class RangePartition(InputPartition):
    """One range of hashes."""

    def __init__(self, index: int) -> None:
        self.index = index


class KeysPartition(InputPartition):
    """Some keys, which are looked up."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self.keys = keys


class SstReader(DataSourceReader):
    """Reads one commit, the newest one when the query was planned."""

    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        self.path = path_in(options)
        self.family = family_in(options)
        self.columns = [(field.name, column_type(field)) for field in schema.fields]
        newest = _native.spark_newest(self.path, self.family)
        if newest is None:
            raise NotFoundError(f"{self.path} has no commit")
        self.commit, entries = newest
        tasks = number_in(options, "partitions") or -(-entries // ENTRIES_PER_PARTITION)
        self.ranges = max(1, tasks)

    def partitions(self) -> list[InputPartition]:
        return [RangePartition(index) for index in range(self.ranges)]

    def read(self, partition: InputPartition) -> Iterator[Any]:
        import pyarrow

        if isinstance(partition, KeysPartition):
            batches = _native.spark_lookup(
                self.path, self.columns, partition.keys, commit=self.commit, family=self.family
            )
        elif isinstance(partition, RangePartition):
            batches = _native.spark_scan(
                self.path,
                self.columns,
                commit=self.commit,
                range=partition.index,
                ranges=self.ranges,
                family=self.family,
            )
        else:
            raise UsageError(f"{partition!r} is no partition of this reader")
        yield from pyarrow.RecordBatchReader.from_stream(batches)


class FilteringReader(SstReader):
    """Turns conditions on keys into lookups."""

    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        super().__init__(options, schema)
        #: The keys that fulfil all conditions; `None` without a condition.
        self.keys: set[bytes] | None = None

    def pushFilters(self, filters: list[Filter]) -> Iterable[Filter]:
        for condition in filters:
            # Neither keys nor values are null.
            if isinstance(condition, IsNotNull) and condition.attribute in (("key",), ("value",)):
                continue
            keys = keys_of(condition)
            if keys is None:
                yield condition
            else:
                self.keys = keys if self.keys is None else self.keys & keys

    def partitions(self) -> list[InputPartition]:
        if self.keys is None:
            return super().partitions()
        keys = sorted(self.keys)
        starts = range(0, max(1, len(keys)), KEYS_PER_PARTITION)
        return [KeysPartition(keys[start : start + KEYS_PER_PARTITION]) for start in starts]


def keys_of(condition: Filter) -> set[bytes] | None:
    """The keys that fulfil a condition; `None` if it is no list of keys."""
    if isinstance(condition, EqualTo | EqualNullSafe | In) and condition.attribute == ("key",):
        values = condition.value if isinstance(condition, In) else [condition.value]
        keys = {as_key(value) for value in values if value is not None}
        # Another type would be compared otherwise than byte by byte.
        return None if None in keys else {key for key in keys if key is not None}
    return None


def as_key(value: Any) -> bytes | None:
    if isinstance(value, str):
        return value.encode()
    return bytes(value) if isinstance(value, bytes | bytearray) else None


def column_type(field: Any) -> str:
    """The type of a column as it is read."""
    if isinstance(field.dataType, BinaryType):
        return "binary"
    if isinstance(field.dataType, StringType):
        return "string"
    kind = field.dataType.simpleString()
    raise UsageError(f"column {field.name!r} of a set is binary or string, not {kind}")
