"""Writes the Parquet files of this directory with pyarrow (26.0.1), and what Python says they hold.

    python generate.py

Several row groups, a dictionary, nulls, both versions of data pages, all compressions that are common, and checksums of pages.
"""

import datetime
import decimal
import json
import uuid

import pyarrow
import pyarrow.parquet

ROWS = 50
UTC = datetime.timezone.utc
START = datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)


def row(i):
    moment = START + datetime.timedelta(days=97 * i, microseconds=1_000_003 * i)
    return {
        "id": f"key-{i:03}",
        "small": i - 25,
        "large": 2**64 - 1 - i,
        "flag": i % 3 == 0,
        "float": i / 8 - 1,
        "price": decimal.Decimal(i * 7 - 100).scaleb(-2),
        "day": moment.date(),
        "clock": moment.time(),
        "moment": moment,
        "local": moment.replace(tzinfo=None),
        "uuid": uuid.UUID(int=i << 96 | i).bytes,
        "group": {"city": ["Aachen", "Zürich", "a, \"b\""][i % 3] if i % 5 else None},
    }


SCHEMA = pyarrow.schema([
    pyarrow.field("id", pyarrow.string(), nullable=False),
    ("small", pyarrow.int8()),
    ("large", pyarrow.uint64()),
    ("flag", pyarrow.bool_()),
    ("float", pyarrow.float32()),
    ("price", pyarrow.decimal128(20, 2)),
    ("day", pyarrow.date32()),
    ("clock", pyarrow.time64("us")),
    ("moment", pyarrow.timestamp("us", "UTC")),
    ("local", pyarrow.timestamp("ns")),
    ("uuid", pyarrow.uuid()),
    ("group", pyarrow.struct([("city", pyarrow.string())])),
])


LISTS = pyarrow.schema([
    pyarrow.field("id", pyarrow.string(), nullable=False),
    ("tags", pyarrow.list_(pyarrow.string())),
    ("sizes", pyarrow.map_(pyarrow.int32(), pyarrow.float64())),
    ("matrix", pyarrow.list_(pyarrow.list_(pyarrow.int64()))),
    ("people", pyarrow.list_(pyarrow.struct([("name", pyarrow.string()), ("ages", pyarrow.list_(pyarrow.uint8()))]))),
    ("person", pyarrow.struct([("name", pyarrow.string()), ("at", pyarrow.list_(pyarrow.string()))])),
    ("score", pyarrow.float64()),
])


def lists_row(i):
    """A row with every combination of null, empty and filled lists."""
    tags = [None, [], ["one"], ["a \"quoted\" \\ tag", None, "Zürich"]][i % 4]
    sizes = [None, [], [(i, i / 4)], [(1, None), (2, 0.5)]][i // 2 % 4]
    matrix = [None, [], [[]], [[1, 2], [], None, [i]], [None]][i % 5]
    people = [None, [], [{"name": "Ada", "ages": [1, 2]}, None, {"name": None, "ages": []}], [{"name": "Bob", "ages": None}]][i // 3 % 4]
    person = [None, {"name": None, "at": None}, {"name": "Cy", "at": ["x", "y"]}][i % 3]
    score = i / 8 if i % 7 else None
    return {"id": f"row-{i:02}", "tags": tags, "sizes": sizes, "matrix": matrix, "people": people, "person": person, "score": score}


def text(name, value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if name == "moment":
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if name == "local":
        return value.strftime("%Y-%m-%dT%H:%M:%S.%f000")
    if name == "clock":
        return value.strftime("%H:%M:%S.%f")
    if name == "uuid":
        return str(uuid.UUID(bytes=value))
    if name == "group":
        value = value["city"] or ""
        return '"' + value.replace('"', '""') + '"' if "," in value else value
    return str(value)


def main():
    rows = [row(i) for i in range(ROWS)]
    table = pyarrow.Table.from_pylist(rows, SCHEMA)
    for compression, version in [
        ("none", "1.0"), ("snappy", "1.0"), ("snappy", "2.0"), ("gzip", "2.0"), ("lz4", "1.0"), ("zstd", "1.0"), ("zstd", "2.0"),
        ("brotli", "1.0"),
    ]:
        pyarrow.parquet.write_table(
            table,
            f"{compression}-{version[0]}.parquet",
            compression=compression,
            data_page_version=version,
            row_group_size=20,
            write_statistics=False,
            write_page_checksum=True,
            store_schema=False,
        )
    old = table.select(["id", "local"])
    pyarrow.parquet.write_table(old, "int96.parquet", use_deprecated_int96_timestamps=True, store_schema=False)
    nested = pyarrow.table({"id": ["a", "b"], "list": [[1, 2], []], "value": ["one", None]})
    pyarrow.parquet.write_table(nested, "nested.parquet", store_schema=False)
    lists = [lists_row(i) for i in range(40)]
    table = pyarrow.Table.from_pylist(lists, LISTS)
    for version in ["1.0", "2.0"]:
        pyarrow.parquet.write_table(
            table,
            f"lists-{version[0]}.parquet",
            compression="snappy" if version == "1.0" else "zstd",
            data_page_version=version,
            row_group_size=17,
            store_schema=False,
        )
    with open("lists.jsonl", "w", newline="\n") as out:
        for row_ in lists:
            sizes = row_["sizes"]
            row_ = dict(row_, sizes=None if sizes is None else {str(key): value for key, value in sizes})
            print(json.dumps(row_), file=out)
    with open("expected.tsv", "w", newline="\n") as out:
        for row_ in rows:
            values = [text(name, value) for name, value in row_.items() if name != "id"]
            print(row_["id"], ",".join(values), sep="\t", file=out)


if __name__ == "__main__":
    main()
