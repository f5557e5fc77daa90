"""Arrow and NumPy: loads, lookups and scans by capsules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import sst_files


def test_types_of_columns(path: Path) -> None:
    texts = ["a", "é", "", "longer than twelve bytes"]
    raw = [text.encode() for text in texts]
    columns: list[pa.Array] = [
        pa.array(texts, type)
        for type in (pa.string(), pa.large_string(), pa.string_view())
    ]
    columns += [pa.array(raw, type) for type in (pa.binary(), pa.large_binary(), pa.binary_view())]
    columns.append(pa.array(texts).dictionary_encode())
    for column in columns:
        sst_files.load(path, pa.table({"k": column, "v": column}))
        db = sst_files.open(path)
        assert dict(db) == dict(zip(raw, raw, strict=True)), column.type
        assert db.get_many(column) == raw, column.type
        assert db.get_many(pa.chunked_array([column, column])) == raw * 2
        assert pa.array(db.get_many(column, to="arrow")).to_pylist() == raw
    fixed = pa.array([b"abcd", b"efgh"], pa.binary(4))
    sst_files.load(path, pa.table({"k": fixed, "v": fixed}))
    assert sst_files.open(path).get_many(fixed) == [b"abcd", b"efgh"]


def test_integers_are_their_digits(path: Path) -> None:
    for type in (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint64()):
        keys = pa.array([0, 7, 127], type)
        sst_files.load(path, pa.table({"k": keys, "v": keys}))
        db = sst_files.open(path)
        assert dict(db) == {b"0": b"0", b"7": b"7", b"127": b"127"}
        assert db.get_many(keys) == db.get_many(np.array([0, 7, 127])) == [b"0", b"7", b"127"]
    low = pa.array([-(2**63)], pa.int64())
    sst_files.load(path, pa.table({"k": low, "v": low}))
    assert sst_files.open(path)[-(2**63)] == str(-(2**63)).encode()


def test_columns_are_chosen_by_name_and_number(path: Path) -> None:
    table = pa.table({"a": ["x"], "b": ["y"], "c": ["z"]})
    sst_files.load(path, table, key="c", value="a")
    assert dict(sst_files.open(path)) == {b"z": b"x"}
    sst_files.load(path, table, key=1, value=2)
    assert dict(sst_files.open(path)) == {b"y": b"z"}
    sst_files.load(path, table.select(["a", "b"]), key="b")
    assert dict(sst_files.open(path)) == {b"y": b"x"}
    misuses: list[dict[str, Any]] = [
        {},
        {"key": "a"},
        {"key": "a", "value": "d"},
        {"key": 9, "value": 0},
        {"key": True, "value": False},
    ]
    for misuse in misuses:
        with pytest.raises(sst_files.UsageError):
            sst_files.load(path, table, **misuse)
    with pytest.raises(sst_files.UsageError):
        sst_files.load(path, pa.table({"k": [1.5], "v": ["x"]}))


def test_nulls_of_a_column(path: Path) -> None:
    table = pa.table({"k": ["a", "b", "c"], "v": ["1", None, "3"]})
    with pytest.raises(sst_files.EntryError) as caught:
        sst_files.load(path, table)
    assert caught.value.position == 1
    sst_files.load(path, table, nulls="skip")
    assert len(sst_files.open(path)) == 2
    report = sst_files.load(path, table, nulls="delete", mode="append")
    assert report.tombstones == 1
    with pytest.raises(sst_files.EntryError):
        sst_files.load(path, pa.table({"k": ["a", None], "v": ["1", "2"]}), nulls="skip")
    with pytest.raises(sst_files.EntryError):
        sst_files.load(path, pa.table({"k": ["a"], "v": pa.nulls(1)}))
    db = sst_files.open(path)
    assert db.get_many(pa.array(["a", None, "c", "x"])) == [b"1", None, b"3", None]
    values = db.get_many(pa.array(["a", None, "c"]), to="arrow", text=True)
    assert list(values) == ["1", None, "3"] and values[0] == values[-3] == "1" and values[1] is None
    for place in (3, -4):
        with pytest.raises(IndexError):
            values[place]
    found = pa.array(db.get_many(pa.array(["a", None, "c"]), to="arrow", text=True))
    assert found.type == pa.string() and found.to_pylist() == ["1", None, "3"]


def test_a_stream_of_many_batches(path: Path) -> None:
    schema = pa.schema({"k": pa.int64(), "v": pa.string()})

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, 100_000, 7919):
            keys = range(start, min(start + 7919, 100_000))
            values = [f"value of {key}" for key in keys]
            yield pa.record_batch([pa.array(keys, pa.int64()), pa.array(values)], schema)

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    report = sst_files.load(path, reader)
    assert report.entries == 100_000
    db = sst_files.open(path)
    numbers = np.arange(0, 100_000, 37)
    assert db.get_many(numbers) == [f"value of {number}".encode() for number in numbers]
    # Later rows win, whichever thread has put them.
    keys = np.tile(np.arange(1000), 100)
    again = pa.table({"k": keys, "v": np.arange(100_000)})
    assert sst_files.load(path, again).duplicates == 99_000
    db.refresh()
    assert db.get_many(np.arange(1000)) == [str(99_000 + number).encode() for number in range(1000)]


def test_a_stream_that_fails(path: Path) -> None:
    schema = pa.schema({"k": pa.string(), "v": pa.string()})

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([pa.array(["a"]), pa.array(["1"])], schema)
        raise RuntimeError("of the stream")

    with pytest.raises(sst_files.UsageError, match="of the stream"):
        sst_files.load(path, pa.RecordBatchReader.from_batches(schema, batches()))
    assert not (path / "CURRENT").exists()


def test_scans(path: Path) -> None:
    data = {f"key {number}": f"value {number}" for number in range(10_000)}
    sst_files.load(path, data)
    db = sst_files.open(path)
    table = pa.table(db.scan(text=True))
    assert table.schema.names == ["key", "value"] and table.schema.types == [pa.string()] * 2
    assert dict(zip(*table.to_pydict().values(), strict=True)) == data
    keys = table["key"].to_pylist()
    assert keys == sorted(data, key=lambda key: (sst_files.key_hash(key), key))
    shards = [pa.table(db.scan(shard=(index, 4))) for index in range(4)]
    assert [shard.num_rows for shard in shards] == [
        sum(sst_files.key_shard(key, 4) == index for key in data) for index in range(4)
    ]
    middle = sst_files.key_hash(keys[5000])
    below, above = db.scan(hashes=(0, middle - 1)), db.scan(hashes=(middle, 2**64 - 1))
    assert [pa.table(it).num_rows for it in (below, above)] == [5000, 5000]
    assert pa.table(db.scan(hashes=(5, 4))).num_rows == 0
    batches = list(db.scan(batch_rows=3000))
    assert [len(batch) for batch in batches] == [3000, 3000, 3000, 1000]
    assert pa.record_batch(batches[0])["key"][0].as_py() == keys[0].encode()
    assert batches[0].keys.to_pylist()[0] == keys[0].encode()
    for misuse in ({"batch_rows": 0}, {"shard": (4, 4)}, {"shard": (0, 1), "hashes": (0, 1)}):
        with pytest.raises(sst_files.UsageError):
            db.scan(**misuse)
    # As often as it is asked for, as duckdb asks, until it was iterated.
    scan = db.scan(batch_rows=3000)
    assert pa.table(scan) == pa.table(scan) and pa.table(scan).num_rows == 10_000
    assert len(next(scan)) == 3000 and pa.table(scan).num_rows == 7000
    for call in (lambda: pa.table(scan), lambda: next(scan)):
        with pytest.raises(sst_files.UsageError):
            call()


def test_a_scan_of_bytes_that_are_no_text(path: Path) -> None:
    sst_files.load(path, {b"\xff": b"\xfe"})
    db = sst_files.open(path)
    with pytest.raises(sst_files.UsageError):
        list(db.scan(text=True))
    with pytest.raises(sst_files.UsageError):
        db.get_many([b"\xff"], to="arrow", text=True)
    assert pa.table(db.scan()).to_pylist() == [{"key": b"\xff", "value": b"\xfe"}]


def test_a_scan_of_damage_tells_its_cause(path: Path) -> None:
    """The library that takes the stream shows one text, without the causes of the error."""
    sst_files.load(path, {f"key {number}": "value" for number in range(100)}, compression="none")
    (table,) = path.glob("*.sst")
    content = bytearray(table.read_bytes())
    content[20] ^= 1
    table.write_bytes(content)
    with pytest.raises(pa.ArrowInvalid, match="checksum"):
        pa.table(sst_files.open(path).scan())


def test_arrays_of_numpy(path: Path) -> None:
    keys = [b"abc", b"de", b"abcdefgh"]
    sst_files.load(path, [(key, key.upper()) for key in keys])
    db = sst_files.open(path)
    expected = [b"ABC", b"DE", b"ABCDEFGH"]
    fixed = np.array(keys)
    assert fixed.dtype.kind == "S" and db.get_many(fixed) == expected
    assert db.get_many(fixed[::-1]) == expected[::-1]
    assert db.get_many(np.array(["abc", "de", "x"])) == [b"ABC", b"DE", None]
    assert db.get_many(np.array(keys, dtype=object)) == expected
    assert db.get_many(np.array([], dtype="S4")) == []
    assert db.get_many(np.array([b"", b""])) == [None, None]
    rows = np.frombuffer(b"abcdefgh" * 2, dtype=np.uint8).reshape(2, 8)
    assert db.get_many(rows) == [b"ABCDEFGH"] * 2
    assert db.get_many(rows.view("V8").reshape(2)) == [b"ABCDEFGH"] * 2
    assert db.get_many(np.zeros((3, 0), dtype=np.uint8)) == [None] * 3
    assert db[fixed[0]] == b"ABC" and db[np.str_("de")] == b"DE"
    for misuse in (np.zeros((2, 2)), np.zeros((2, 2, 2), dtype=np.uint8)):
        with pytest.raises(TypeError):
            db.get_many(misuse)
    with pytest.raises(TypeError):
        db.get_many(np.array([1.5]))


def test_capsules_that_are_misused(path: Path, fruit: Path) -> None:
    class Wrong:
        def __init__(self, answer: Any) -> None:
            self.answer = answer

        def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
            return self.answer

    class WrongArray(Wrong):
        def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
            return self.answer

    db = sst_files.open(fruit)
    stream = pa.table({"k": ["a"], "v": ["b"]}).__arrow_c_stream__()
    pair = pa.array(["apple"]).__arrow_c_array__()
    for answer in (None, 7, b"x", (), pair, pair[0], object()):
        with pytest.raises((TypeError, ValueError)):
            sst_files.load(path, Wrong(answer))
        with pytest.raises((TypeError, ValueError)):
            db.get_many(Wrong(answer))
    for answer in (None, 7, (), (1, 2), pair[::-1], stream, (stream, stream)):
        with pytest.raises((TypeError, ValueError, IndexError)):
            db.get_many(WrongArray(answer))
    assert db.get_many(WrongArray(pair)) == [b"red"]
    with pytest.raises(ValueError):
        db.get_many(WrongArray(pair))
    sst_files.load(path, Wrong(stream))
    with pytest.raises(ValueError):
        sst_files.load(path, Wrong(stream))
    # An array of numbers is no frame.
    with pytest.raises(sst_files.SstError):
        sst_files.load(path, pa.chunked_array([[1, 2]]))
