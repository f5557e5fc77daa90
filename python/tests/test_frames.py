"""Frames of pandas, polars and duckdb, and other containers of Arrow and NumPy as input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import sst_files


def loaded(path: Path, data: Any, **options: Any) -> dict[bytes, bytes]:
    sst_files.load(path, data, **options)
    return dict(sst_files.open(path))


TWO = {b"a": b"1", b"b": b"2"}


@pytest.fixture(params=[True, False], ids=["pyarrow", "no pyarrow"])
def with_and_without_pyarrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """pandas hands its columns over by pyarrow, or, where that is missing, as objects."""
    if not request.param:
        monkeypatch.setitem(sys.modules, "pyarrow", None)


@pytest.mark.usefixtures("with_and_without_pyarrow")
def test_columns_and_index_of_pandas(path: Path) -> None:
    frame = pd.DataFrame({"k": ["a", "b"], "v": [1, 2]})
    assert loaded(path, frame) == loaded(path, frame, key="k") == loaded(path, frame, value=1) == TWO
    assert loaded(path, frame, key="v", value="k") == {b"1": b"a", b"2": b"b"}
    # The index is behind the columns where pandas hands it over: it must not be taken for one.
    more = pd.DataFrame({"k": ["x", "a", "b"], "v": [0, 1, 2]})
    assert loaded(path, more[more["v"] > 0]) == TWO
    indexed = frame.set_index("k")
    assert loaded(path, indexed) == loaded(path, indexed["v"]) == TWO
    assert loaded(path, indexed, key="k", value="v") == TWO
    assert loaded(path, pd.Series([1, 2], index=["a", "b"])) == TWO
    nested = frame.assign(g=0).set_index(["g", "k"])
    assert loaded(path, nested, key="k", value="v") == TWO
    for misuse in (pd.DataFrame({"v": [1]}), nested, frame.assign(w=0), frame[[]]):
        with pytest.raises(sst_files.UsageError):
            sst_files.load(path, misuse)
    with pytest.raises(sst_files.UsageError):
        sst_files.load(path, frame, key="k", value="w")


@pytest.mark.usefixtures("with_and_without_pyarrow")
def test_values_of_pandas(path: Path) -> None:
    mixed = pd.DataFrame({"k": ["a", 7, b"c"], "v": [1, "2", b"3"]})
    assert loaded(path, mixed) == {b"a": b"1", b"7": b"2", b"c": b"3"}
    missing = pd.DataFrame({"k": ["a", "b"], "v": ["1", None]})
    assert loaded(path, missing, nulls="skip") == {b"a": b"1"}
    nullable = pd.DataFrame({"k": ["a", "b"], "v": pd.array([1, None], "Int64")})
    assert loaded(path, nullable, nulls="skip") == {b"a": b"1"}
    categories = pd.DataFrame({"k": pd.Categorical(["a", "b"]), "v": [1, 2]})
    assert loaded(path, categories) == TWO
    with pytest.raises((TypeError, sst_files.UsageError)):
        sst_files.load(path, pd.DataFrame({"k": ["a"], "v": [1.5]}))
    db = sst_files.open(path)
    for keys in (categories["k"], pd.Series(["a", "b"]), pd.Index(["a", "b"]), pd.Index([b"a", b"b"])):
        assert db.get_many(keys) == [b"1", b"2"]


def test_frames_of_polars(path: Path) -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"k": ["a", "b"], "v": [1, 2]})
    assert loaded(path, frame) == loaded(path, frame, key="k", value="v") == TWO
    typed = {"k": pl.Series(["a", "b"], dtype=pl.Categorical), "v": pl.Series([b"1", b"2"])}
    assert loaded(path, pl.DataFrame(typed)) == TWO
    assert loaded(path, frame.to_struct("s")) == TWO
    many = pl.DataFrame({"k": range(50_000), "v": range(50_000)})
    chunks = pl.concat([many, frame.with_columns(k=pl.lit(-1, pl.Int64))], rechunk=False)
    assert len(loaded(path, chunks)) == 50_001
    db = sst_files.open(path)
    keys = pl.Series([7, None, 50_000])
    assert db.get_many(keys) == [b"7", None, None]
    assert pl.Series(db.get_many(keys, to="arrow", text=True)).to_list() == ["7", None, None]
    assert pl.DataFrame(db.scan(text=True)).height == 50_001
    for misuse, error in ((frame.lazy(), TypeError), (frame["k"], sst_files.UsageError)):
        with pytest.raises(error):
            sst_files.load(path, misuse)


def test_relations_of_duckdb(path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    entries = connection.sql("SELECT 'k' || i AS k, i AS v FROM range(30000) AS t(i)")
    found = loaded(path, entries)
    assert len(found) == 30_000 and found[b"k29999"] == b"29999"
    # A sum of integers is of 128 bits, which Arrow has as a decimal.
    sums = connection.sql("SELECT i % 2 AS k, sum(i) AS v FROM range(10) AS t(i) GROUP BY k")
    assert loaded(path, sums) == {b"0": b"20", b"1": b"25"}
    blobs = connection.sql("SELECT 'a'::BLOB AS k, NULL::VARCHAR AS v")
    assert loaded(path, blobs, nulls="skip") == {}
    sst_files.load(path, sums)
    scan = sst_files.open(path).scan(text=True)
    assert connection.sql("SELECT sum(value::INT) FROM scan").fetchall() == [(45,)]


def test_batches_and_arrays_of_arrow(path: Path) -> None:
    batch = pa.record_batch({"k": ["a", "b"], "v": [1, 2]})
    structures = batch.to_struct_array()
    assert loaded(path, batch) == loaded(path, structures) == TWO
    # A batch of our own has only one array to give.
    (own,) = sst_files.open(path).scan()
    assert loaded(path, own) == TWO
    assert loaded(path, pa.chunked_array([structures, structures.slice(1)])) == TWO
    decimals = pa.table({"k": pa.array([1, -(10**30)], pa.decimal128(38)), "v": ["x", "y"]})
    assert loaded(path, decimals) == {b"1": b"x", b"-1" + b"0" * 30: b"y"}
    nulls = pa.array([{"k": "a", "v": "1"}, None])
    for misuse in (pa.array(["a"]), pa.chunked_array([["a"]]), nulls, pa.chunked_array([nulls])):
        with pytest.raises(sst_files.SstError):
            sst_files.load(path, misuse)


def test_arrays_of_numpy(path: Path) -> None:
    assert loaded(path, np.array([["a", "1"], ["b", "2"]])) == TWO
    assert loaded(path, np.array([[b"a", b"1"], [b"b", b"2"]])) == TWO
    assert loaded(path, np.array([[1, 2], [3, 4]])) == {b"1": b"2", b"3": b"4"}
    records = np.array([(b"a", 1), (b"b", 2)], dtype=[("k", "S4"), ("v", "i4")])
    assert loaded(path, records) == loaded(path, records, key="k", value="v") == TWO
    assert loaded(path, zip(np.array(["a", "b"]), np.array([1, 2], "u1"), strict=True)) == TWO


def test_numbers_are_digits_whatever_their_type(path: Path) -> None:
    import enum

    class Level(int, enum.Enum):
        LOW = 5

    class Odd(int):
        def __str__(self) -> str:
            return "odd"

        __repr__ = __str__

    sst_files.load(path, {"5": "five"})
    db = sst_files.open(path)
    numbers: list[Any] = [5, Level.LOW, Odd(5)]
    numbers += [np.dtype(kind).type(5) for kind in "bBhHiIqQ"] + [np.array(5), np.array(5, "u1")]
    for number in numbers:
        assert db[number] == b"five" and number in db and db.get_many([number]) == [b"five"]
    for kind in "bBhHiIqQ":
        assert db.get_many(np.array([5, 6], kind)) == [b"five", None]
        assert db.get_many(np.array([[5, 6, 7, 5]], kind)[0, ::3]) == [b"five"] * 2
    pairs: list[tuple[Any, Any]] = [(-(10**30), Odd(7)), (2**64, np.uint8(200))]
    sst_files.load(path, pairs)
    assert dict(sst_files.open(path)) == {str(-(10**30)).encode(): b"7", str(2**64).encode(): b"200"}
    for other in (True, np.bool_(True), 5.0, np.float64(5), np.datetime64("2020-01-01"), np.array([5])):
        with pytest.raises(TypeError):
            db.get(other)  # type: ignore[arg-type]


def test_bytes_of_any_layout(path: Path) -> None:
    sst_files.load(path, {"ace": "1"})
    db = sst_files.open(path)
    spread: list[Any] = [memoryview(b"abcde")[::2], bytearray(b"ace"), np.bytes_(b"ace"), np.void(b"ace")]
    spread += [np.frombuffer(b"ace", "u1"), memoryview(b"eca")[::-1]]
    for key in spread:
        assert db[key] == b"1"
    rows = np.frombuffer(b"a-c-e-", "u1").reshape(3, 2)
    assert db.get_many(rows.T[:1]) == [b"1"] and db.get_many(np.array([b"ace", b""])) == [b"1", None]
    for one in (b"ace", "ace", bytearray(b"ace"), memoryview(b"ace")):
        with pytest.raises(TypeError):
            db.get_many(one)
