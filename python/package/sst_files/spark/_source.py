"""The data source `sst`."""

from __future__ import annotations

from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceWriter
from pyspark.sql.types import StructType

from .._errors import UsageError
from ._options import READ_OPTIONS, WriteOptions, check_names, flag_in
from ._reader import FilteringReader, SstReader
from ._writer import SstWriter


class SstDataSource(DataSource):
    """Sets of keys and values, in a directory that all machines share or in a bucket.

    Reading: `spark.read.format("sst").load(path)` has the columns `key` and `value`, binary. Ask
    for others by `schema`: `key string` reads no values. Options: `partitions`, the number of tasks;
    `family`; `filters=true`, with which conditions on keys become lookups (it needs
    `spark.sql.python.filterPushdown.enabled`).

    Writing: `frame.write.format("sst").option("partitions", n).mode("overwrite").save(path)`, of a
    frame that `sst_files.spark.prepare` has made with the same `n`. `write_set` does both. Modes are
    `overwrite` and `append`. Options: `duplicates`, `nulls`, `family`, `compression`, `certify`,
    `keep_generations`, `job`.
    """

    @classmethod
    def name(cls) -> str:
        return "sst"

    def schema(self) -> str:
        return "key binary, value binary"

    def reader(self, schema: StructType) -> DataSourceReader:
        check_names(self.options, READ_OPTIONS)
        # Spark refuses a reader that takes filters unless its configuration allows it.
        reader = FilteringReader if flag_in(self.options, "filters") else SstReader
        return reader(self.options, schema)

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceWriter:
        for name in ("key", "value"):
            if name not in schema.names:
                raise UsageError(
                    f"the rows have no column {name!r}: prepare them with sst_files.spark.prepare"
                )
        return SstWriter(WriteOptions.of(self.options, overwrite))


__all__ = ["SstDataSource"]
