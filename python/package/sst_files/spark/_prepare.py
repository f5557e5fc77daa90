"""Rows in the order of tables: hashed, divided by ranges of hashes, sorted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions
from pyspark.sql.types import BinaryType, DataType, IntegralType, StringType

from .. import _native
from .._errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: The most ranges: their numbers are integers of 32 bits with a sign.
MAX_PARTITIONS = 2**31 - 1


def prepare(
    frame: DataFrame,
    partitions: int,
    *,
    key: str,
    value: str,
    duplicates: str = "error",
    newest_by: str | list[str] | None = None,
) -> DataFrame:
    """The rows of a frame as the data source `sst` takes them: `key` and `value` as bytes, in
    `partitions` equal ranges of hashes, each sorted by hash and key.

    Keys and values are binary, strings (their UTF-8) or integers (their decimal digits). With
    `duplicates="newest"` the row of a key with the highest `newest_by` counts, one or more columns;
    rows that are equal in these are told apart by their values. With `duplicates="keep"` the values
    of a key are sorted. So the same rows always give the same tables.
    """
    check_partitions(partitions)
    newest = newest_columns(duplicates, newest_by)
    missing = [name for name in (key, value, *newest) if name not in frame.columns]
    if missing:
        raise UsageError(f"there is no column {missing[0]!r} in {', '.join(frame.columns)}")
    types = {field.name: field.dataType for field in frame.schema.fields}
    rows = frame.select(
        as_bytes(key, types[key]).alias("key"),
        as_bytes(value, types[value]).alias("value"),
        *(column_named(name).alias(f"newest_{i}") for i, name in enumerate(newest)),
    )
    hashed = rows.withColumn("hashed", hash_function(partitions)("key"))
    divided = hashed.repartitionById(partitions, functions.col("hashed.range"))
    order = [functions.col("hashed.order"), functions.col("key")]
    if duplicates != "error":
        order += [functions.col(f"newest_{i}") for i in range(len(newest))]
        order.append(functions.col("value"))
    return divided.sortWithinPartitions(*order).select("key", "value")


def check_partitions(partitions: int) -> None:
    """Refuses a number of ranges that there cannot be."""
    if not 1 <= partitions <= MAX_PARTITIONS:
        raise UsageError(f"partitions={partitions} is not between 1 and {MAX_PARTITIONS}")


def newest_columns(duplicates: str, newest_by: str | list[str] | None) -> list[str]:
    """The columns that tell which row of a key is the newest."""
    if duplicates not in ("error", "newest", "keep"):
        raise UsageError(f'duplicates={duplicates!r} is none of "error", "newest", "keep"')
    newest = [newest_by] if isinstance(newest_by, str) else list(newest_by or [])
    if duplicates == "newest" and not newest:
        # The rows of a frame have no order of their own.
        raise UsageError(
            'duplicates="newest" needs newest_by=, the columns that say which is newest'
        )
    if duplicates != "newest" and newest:
        raise UsageError('newest_by= goes with duplicates="newest" only')
    return newest


def column_named(name: str) -> Column:
    """The column of a name, which may have dots in it."""
    return functions.col("`" + name.replace("`", "``") + "`")


def as_bytes(name: str, kind: DataType) -> Column:
    """A column of keys or values as bytes."""
    column = column_named(name)
    if isinstance(kind, BinaryType):
        return column
    if isinstance(kind, StringType):
        return column.cast("binary")
    if isinstance(kind, IntegralType):
        return column.cast("string").cast("binary")
    raise UsageError(
        f"column {name!r} of type {kind.simpleString()} holds no keys or values: cast it to binary, "
        "string or an integer first"
    )


def hash_function(ranges: int) -> Callable[..., Any]:
    """A function of Spark that gives the order and the range of each key."""

    def hashes(keys: Any) -> Any:
        import pyarrow

        return pyarrow.array(_native.spark_key_hashes(keys, ranges))

    # Spark tells from annotations which kind of function it is; here it is said.
    hashes.__annotations__ = {}
    make: Any = functions.udf if not hasattr(functions, "arrow_udf") else functions.arrow_udf
    made: Callable[..., Any] = make(hashes, "struct<order: bigint, range: int>")
    return made
