"""Spark: a cluster builds a set and publishes it in one commit. For PySpark 4.1 and later.

>>> from sst_files.spark import write_set
>>> report = write_set(frame, "s3://bucket/products.db", key="sku", value="name", partitions=64)
>>> spark.read.format("sst").load("s3://bucket/products.db").show()

`write_set` hashes the keys, divides the rows by ranges of hashes, sorts them, lets each task write
the tables of its range straight into the directory or bucket, and publishes them in one commit.
`prepare` is its first half: rows that the data source `sst` takes. The source is found by Spark by
itself where this package is installed, on the driver and on the executors.

docs/SPARK.md of the repository has the rules for nulls, duplicates, skew and failures.
"""

from __future__ import annotations

from ._prepare import prepare
from ._source import SstDataSource
from ._write import WriteSetReport, write_set

__all__ = ["SstDataSource", "WriteSetReport", "prepare", "write_set"]
