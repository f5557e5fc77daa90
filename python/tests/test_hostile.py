"""Code that does what it should not while a call is under way."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import sst_files


@pytest.fixture
def db(path: Path) -> sst_files.Db:
    sst_files.load(path, {str(key): f"v{key}" for key in range(10_000)})
    return sst_files.open(path)


def test_sets_that_are_closed_and_refreshed_under_lookups(db: sst_files.Db, path: Path) -> None:
    stopping = threading.Event()

    def look_up(number: int) -> int:
        closed = 0
        while not stopping.is_set() or closed == 0:
            try:
                assert db[str(number)].startswith(b"v")
                assert len(db.get_many([str(number), "x"], to="arrow")) == 2
                assert bytes(db.get_view(str(number)) or b"v").startswith(b"v")
                db.refresh()
            except sst_files.ClosedError:
                closed += 1
        return closed

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(look_up, number) for number in range(3)]
        try:
            for commit in range(3):
                sst_files.load(path, {str(key): f"v{commit}" for key in range(100)}, mode="append")
        finally:
            db.close()
            stopping.set()
        assert all(reader.result() > 0 for reader in readers)


def test_buffers_that_change_under_a_call(db: sst_files.Db) -> None:
    """Answers are those of some content that the buffer had; nothing else happens."""
    rows = np.array([f"{key:04}" for key in range(1000, 9000)], "S4")
    buffer = bytearray(b"1234")
    stopping = threading.Event()

    def change() -> None:
        while not stopping.is_set():
            rows[:] = np.roll(rows, 1)
            buffer[:] = b"4321"
            buffer[:] = b"1234"

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(30):
            assert len(db.get_many(rows)) == len(rows)
            assert db[buffer] in (b"v1234", b"v4321")
    finally:
        stopping.set()
        thread.join()
    # A key that is shorter the moment after.
    del buffer[2:]
    assert db[buffer] == b"v12"


def test_offsets_of_arrow_that_are_none(db: sst_files.Db, path: Path) -> None:
    """Lengths that go backwards are refused, and text that is none."""
    backwards = np.array([0, 1000, 3], "i4")
    data = pa.py_buffer(b"abc")
    binary = pa.Array.from_buffers(pa.binary(), 2, [None, pa.py_buffer(backwards), data])
    no_text = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 1], "i4")), pa.py_buffer(b"\xff")]
    )
    outside = pa.DictionaryArray.from_arrays(pa.array([0, 7]), pa.array(["a"]), safe=False)
    for array in (binary, no_text, outside):
        with pytest.raises(sst_files.SstError):
            db.get_many(array)
        with pytest.raises(sst_files.SstError):
            sst_files.load(path.parent / "other", pa.table([array, array], names=["k", "v"]))


def test_parts_of_arrays_with_nulls(db: sst_files.Db) -> None:
    keys = pa.array(["0", None, "2", "x" * 20, None, "5", "6"])
    expected = [b"v2", None, None, b"v5"]
    types = [pa.large_string(), pa.string_view(), pa.binary(), pa.binary_view(), pa.large_binary()]
    arrays: list[Any] = [keys, keys.dictionary_encode(), *(keys.cast(type) for type in types)]
    for array in arrays:
        part = array.slice(2, 4)
        assert db.get_many(part) == expected, array.type
        assert pa.array(db.get_many(part, to="arrow")).to_pylist() == expected, array.type
        chunked = pa.chunked_array([array.slice(0, 0), part, array.slice(1, 1), part])
        assert db.get_many(chunked) == [*expected, None, *expected], array.type
    assert db.get_many(pa.array([1, None, 3, 4]).slice(1, 2)) == [None, b"v3"]
    nothing = pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["1", None]))
    assert db.get_many(nothing) == [b"v1", None, None]


def test_many_keys_are_divided_among_threads(db: sst_files.Db) -> None:
    keys = [str(key * 7 % 20_000) for key in range(30_000)]
    expected = [f"v{key}".encode() if int(key) < 10_000 else None for key in keys]
    assert pa.array(db.get_many(pa.array(keys), to="arrow")).to_pylist() == expected
    assert pa.array(db.get_many(keys, to="arrow")).to_pylist() == expected
    assert db.get_many(pa.array(keys)) == expected


def test_exceptions_of_what_is_iterated(db: sst_files.Db, path: Path) -> None:
    class Fault(Exception):
        pass

    def fails(count: int) -> Iterator[tuple[str, str]]:
        for number in range(count):
            yield str(number), "x"
        raise Fault

    def exits() -> Iterator[tuple[str, str]]:
        yield "a", "1"
        raise SystemExit(3)

    before = sorted(path.iterdir())
    for data, error in ((fails(0), Fault), (fails(50_000), Fault), (exits(), SystemExit)):
        with pytest.raises(error):
            sst_files.load(path, data)
    with pytest.raises(Fault):
        db.get_many(key for key, _ in fails(3))

    def reenters() -> Iterator[tuple[str, str]]:
        yield "a", db["1"].decode()
        # The directory is locked by the load that asks.
        with pytest.raises(sst_files.LockedError):
            sst_files.load(path, {"b": "2"})
        raise Fault

    with pytest.raises(Fault):
        sst_files.load(path, reenters())

    def stops(progress: sst_files.Progress) -> None:
        raise Fault

    with pytest.raises(Fault):
        sst_files.load(path, [(str(number), bytes(100)) for number in range(50_000)], progress=stops)
    assert sorted(path.iterdir()) == before and len(db) == 10_000


def test_what_outlives_its_set(db: sst_files.Db) -> None:
    iterator, scan, view = iter(db), db.scan(batch_rows=100), db.get_view("5")
    items, keys = iter(db.items()), db.keys()
    next(iterator)
    next(scan)
    array = db.get_many(["5"], to="arrow")
    db.close()
    assert len(list(iterator)) == 9999 and sum(map(len, scan)) == 9900
    assert len(list(items)) == 10_000 and pa.array(array).to_pylist() == [b"v5"]
    assert view is not None and bytes(view) == b"v5"
    uses: list[Callable[[], Any]] = [
        lambda: len(keys), lambda: next(iter(keys)), lambda: db["5"], lambda: "5" in db, lambda: bool(db),
        lambda: db.__enter__(), lambda: db.commit, lambda: db.with_family(1), lambda: db.follow(),
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(sst_files.ClosedError):
            use()


def test_copies_and_pickles(db: sst_files.Db) -> None:
    for other in (copy.copy(db), copy.deepcopy(db), pickle.loads(pickle.dumps(db))):
        assert other["5"] == b"v5" and other is not db
    things: list[Any] = [
        iter(db), db.scan(), db.statistics(), db.get_view("5"), db.get_many(["5"], to="arrow"),
        next(db.scan()),
    ]  # fmt: skip
    for thing in things:
        for operation in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                operation(thing)


def test_keys_of_any_size(db: sst_files.Db, path: Path) -> None:
    assert db.get(2**4000) is None and -(2**4000) not in db
    with pytest.raises(ValueError):
        db.get(10**5000)
    assert db.get(b"x" * (1 << 25)) is None
    with pytest.raises(sst_files.EntryError):
        sst_files.load(path, [(b"x" * (1 << 25), b"")])
    with pytest.raises(UnicodeEncodeError):
        db.get("\ud800")
    nested: list[Any] = []
    nested.append(nested)
    with pytest.raises(TypeError):
        db.get_many(nested)
