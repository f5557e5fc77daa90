"""Lets Spark find the data source `sst`: it looks for packages whose names start with `pyspark_`."""

from sst_files.spark import SstDataSource as DefaultSource

__all__ = ["DefaultSource"]
