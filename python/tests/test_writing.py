"""Loads, the writer, and operations on whole directories."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sst_files


def test_pairs_mappings_generators_and_rows(path: Path) -> None:
    expected = {b"a": b"1", b"b": b"2"}
    rows = csv.DictReader(io.StringIO("k,ignored,v\na,x,1\nb,y,2\n"))
    sources: list[tuple[Any, dict[str, Any]]] = [
        ({"a": "1", "b": "2"}, {}),
        ([("a", "1"), ["b", "2"]], {}),
        (((key, value) for key, value in (("a", 1), ("b", 2))), {}),
        (rows, {"key": "k", "value": "v"}),
        ([{"k": "a", "v": b"1"}, {"k": "b", "v": "2"}], {"key": "k", "value": "v"}),
    ]
    for source, names in sources:
        report = sst_files.load(path, source, **names)
        assert (report.records, report.entries, report.tables) == (2, 2, 1)
        assert dict(sst_files.open(path)) == expected


def test_records_that_are_none(path: Path) -> None:
    misuses: list[tuple[Any, type[Exception]]] = [
        ([("a",)], sst_files.UsageError),
        ([("a", "b", "c")], sst_files.UsageError),
        ([{"a": 1}], sst_files.UsageError),
        (["ab"], sst_files.UsageError),
        ([7], sst_files.UsageError),
        ([(1.5, "a")], TypeError),
        ([("a", object())], TypeError),
        ([(None, "a")], sst_files.EntryError),
        ([("a", None)], sst_files.EntryError),
        ([("x" * (1 << 24), "a")], sst_files.EntryError),
        (7, TypeError),
        (None, TypeError),
    ]
    for data, expected in misuses:
        with pytest.raises(expected):
            sst_files.load(path, data)
    # The path of a file would be iterated letter by letter.
    texts: list[Any] = ["rows.csv", b"rows.csv", Path("rows.csv")]
    for text in texts:
        with pytest.raises(TypeError, match="read a file first"):
            sst_files.load(path, text)
    with pytest.raises(sst_files.UsageError):
        sst_files.load(path, [{"k": 1}], key="k", value="missing")
    nested: list[Any] = [("a", "1"), ("b", ("2", "3"))]
    with pytest.raises(TypeError):
        sst_files.load(path, nested)
    with pytest.raises(sst_files.EntryError) as caught:
        sst_files.load(path, [("a", "1"), ("b", None)])
    assert caught.value.position == 1
    assert not (path / "CURRENT").exists()


def test_nulls_skip_or_delete(fruit: Path) -> None:
    sst_files.load(fruit, {"apple": None, "fig": "purple"}, mode="append", nulls="skip")
    db = sst_files.open(fruit)
    assert db["apple"] == b"red" and db["fig"] == b"purple"
    report = sst_files.load(fruit, [("apple", None)], mode="append", nulls="delete")
    assert report.tombstones == 1
    db.refresh()
    assert "apple" not in db and len(db) == 3


def test_the_last_record_of_a_key_counts(path: Path) -> None:
    def records() -> Iterator[tuple[int, int]]:
        for number in range(30000):
            yield number % 10000, number

    report = sst_files.load(path, records())
    assert report.duplicates == 20000
    assert sst_files.open(path).get_many(range(10000)) == [
        str(number + 20000).encode() for number in range(10000)
    ]
    with pytest.raises(sst_files.DuplicateKeyError):
        sst_files.load(path, [("a", "1"), ("a", "2")], duplicates="error")


def test_an_input_larger_than_its_budget(path: Path) -> None:
    report = sst_files.load(
        path,
        ((number, bytes(100)) for number in range(100_000)),
        memory_budget=4 << 20,
        temp_dir=path.parent,
    )
    assert report.entries == 100_000 and report.spilled_bytes > 0
    assert len(sst_files.open(path)) == 100_000


def test_an_exception_of_the_data_ends_a_load(fruit: Path) -> None:
    def records() -> Iterator[tuple[str, str]]:
        yield "a", "1"
        raise RuntimeError("of the data")

    before = sorted(fruit.iterdir())
    with pytest.raises(RuntimeError, match="of the data"):
        sst_files.load(fruit, records())
    assert sorted(fruit.iterdir()) == before
    assert len(sst_files.open(fruit)) == 3


def test_progress_is_told(path: Path) -> None:
    told: list[sst_files.Progress] = []
    sst_files.load(path, ((number, "x" * 50) for number in range(200_000)), progress=told.append)
    assert {progress.phase for progress in told} & {"read", "write", "publish"}
    assert any(progress.entries > 0 for progress in told)

    def fail(progress: sst_files.Progress) -> None:
        raise LookupError(progress.phase)

    with pytest.raises(LookupError):
        sst_files.load(path, ((number, "y" * 50) for number in range(200_000)), progress=fail)
    assert sst_files.open(path)[7] == b"x" * 50
    for misuse in (7, "bar"):
        with pytest.raises(TypeError):
            sst_files.load(path, {}, progress=misuse)


class _Tqdm:
    """As much of tqdm as is used."""

    def __init__(self) -> None:
        self.n, self.total, self.phases = 0, None, list[str]()

    def reset(self) -> None:
        self.n = 0

    def set_description(self, text: str) -> None:
        self.phases.append(text)

    def update(self, by: int) -> None:
        self.n += by


def test_progress_moves_a_bar(path: Path) -> None:
    bar = _Tqdm()
    sst_files.load(path, ((number, "x" * 50) for number in range(100_000)), progress=bar)
    assert bar.phases and bar.n > 0


def test_certificates_tell_contents_apart(path: Path, tmp_path: Path) -> None:
    report = sst_files.load(path, {"a": "1", "b": "2"}, certify=True)
    one = report.certificate
    assert repr(report).endswith(f", certificate={one!r})")
    other = tmp_path / "other"
    sst_files.load(other, {"a": "1"})
    two = sst_files.load(other, {"b": "2"}, mode="append", certify=True).certificate
    assert one is not None and one == two and hash(one) == hash(two) and len(one.digest) == 64
    assert sst_files.certificate(path) == sst_files.open(path).certificate() == one
    three = sst_files.load(path, {"a": "1", "b": "3"}, certify=True).certificate
    assert three != one and three is not None and three.entries == 2


def test_a_writer_takes_entries_in_order(path: Path) -> None:
    data = {str(number).encode(): b"v" * (number % 200) for number in range(5000)}
    ordered = sorted(data.items(), key=lambda item: (sst_files.key_hash(item[0]), item[0]))
    with sst_files.Writer(path, certify=True) as writer:
        for key, value in ordered:
            writer.add(key, value)
        assert writer.entries == 5000
    loaded = path.parent / "loaded"
    assert sst_files.load(loaded, data, certify=True).certificate == sst_files.certificate(path)
    assert dict(sst_files.open(path)) == data


def test_a_writer_goes_on_after_an_entry_that_is_refused(path: Path) -> None:
    first, second = sorted(("a", "b"), key=sst_files.key_hash)
    writer = sst_files.Writer(path)
    writer.add(second, "1")
    with pytest.raises(sst_files.EntryError):
        writer.add(first, "2")
    with pytest.raises(sst_files.DuplicateKeyError):
        writer.add(second, "2")
    report = writer.finish()
    assert (report.entries, report.tables) == (1, 1)
    for call in (lambda: writer.add("c", "d"), writer.finish):
        with pytest.raises(sst_files.ClosedError):
            call()
    writer.abandon()
    assert dict(sst_files.open(path)) == {second.encode(): b"1"}


def test_a_writer_that_is_abandoned_leaves_nothing(fruit: Path) -> None:
    before = sorted(fruit.iterdir())
    with pytest.raises(RuntimeError), sst_files.Writer(fruit) as writer:
        writer.add("a", bytes(100_000))
        with pytest.raises(sst_files.LockedError) as caught:
            sst_files.load(fruit, {})
        assert caught.value.directory == str(fruit) and isinstance(caught.value, OSError)
        raise RuntimeError
    assert sorted(fruit.iterdir()) == before
    del writer
    sst_files.load(fruit, {"a": "1"}, mode="append")
    assert len(sst_files.open(fruit)) == 4


def test_a_writer_of_blobs_tombstones_and_several_values(fruit: Path) -> None:
    large = bytes(70 << 20)
    entries = [("apple", None), ("fig", "1"), ("fig", "2"), ("large", large)]
    entries.sort(key=lambda entry: sst_files.key_hash(entry[0]))
    with sst_files.Writer(fruit, mode="append", duplicates="keep") as writer:
        for key, value in entries:
            if value is None:
                writer.delete(key)
            else:
                writer.add(key, value)
    db = sst_files.open(fruit)
    assert "apple" not in db and db.get_all("fig") == [b"1", b"2"]
    view = db.get_view("large")
    assert view is not None and len(view) == len(large)


def test_merge_compact_and_diff(tmp_path: Path) -> None:
    monday, tuesday, week = (tmp_path / name for name in ("monday", "tuesday", "week"))
    sst_files.load(monday, {"a": "1", "b": "2", "c": "3"})
    sst_files.load(tuesday, {"b": "22", "d": "4", "c": "3"})
    differences = sst_files.diff(monday, tuesday)
    found = {it.key: (it.change, it.old, it.new) for it in differences}
    assert found == {
        b"a": ("removed", b"1", None),
        b"b": ("changed", b"2", b"22"),
        b"d": ("added", None, b"4"),
    }
    assert differences.counts == {"added": 1, "removed": 1, "changed": 1, "same": 1}
    report = sst_files.merge([monday, tuesday], week, certify=True)
    assert (report.entries, report.hidden) == (4, 2) and report.certificate is not None
    assert dict(sst_files.open(week)) == {b"a": b"1", b"b": b"22", b"c": b"3", b"d": b"4"}
    sst_files.load(week, [("a", None)], mode="append", nulls="delete")
    report = sst_files.compact(week)
    assert report.commit is not None and (report.entries, report.dropped_tombstones) == (3, 1)
    assert sst_files.compact(week, auto=True).commit is None
    table = max(week.glob("*.sst"))
    sst_files.merge(table, tmp_path / "copy")
    assert sst_files.diff(week, tmp_path / "copy").counts["changed"] == 0
    assert list(sst_files.diff(week, tmp_path / "copy")) == []
    with pytest.raises(sst_files.DuplicateKeyError):
        sst_files.merge([monday, tuesday], tmp_path / "none", duplicates="error")


def test_gather_rollback_and_log(tmp_path: Path) -> None:
    parts = [tmp_path / f"part-{number}" for number in range(2)]
    for number, part in enumerate(parts):
        sst_files.load(part, {f"key {number}": number}, certify=True)
    whole = tmp_path / "whole"
    sst_files.load(whole, {"old": "1"})
    with pytest.raises(sst_files.UsageError):
        sst_files.gather([parts[0], parts[0]], whole)
    report = sst_files.gather(parts, whole, overlap="later-wins", certify=True)
    assert (report.entries, report.tables) == (2, 2) and report.certificate is not None
    db = sst_files.open(whole)
    assert dict(db) == {b"key 0": b"0", b"key 1": b"1"}
    assert [entry["is_current"] for entry in sst_files.log(whole)][0]
    assert {entry["kind"] for entry in sst_files.log(whole)} == {"load"}
    sst_files.rollback(whole)
    db.refresh()
    assert dict(db) == {b"old": b"1"}
    assert sst_files.log(whole)[0]["kind"] == "rollback"
    with pytest.raises(sst_files.UsageError):
        sst_files.rollback(whole, 999)
    with pytest.raises(FileNotFoundError):
        sst_files.rollback(tmp_path / "none")


def test_no_inputs_replace_nothing(fruit: Path) -> None:
    """A pattern that matches no path gives an empty list."""
    before = dict(sst_files.open(fruit))
    for operation in (sst_files.merge, sst_files.gather):
        with pytest.raises(sst_files.UsageError):
            operation([], fruit)
    assert dict(sst_files.open(fruit)) == before


def test_paths_that_are_none() -> None:
    class Path:
        def __fspath__(self) -> str:
            raise RuntimeError("of the path")

    takes: list[Callable[[Any], object]] = [
        sst_files.open,
        sst_files.verify,
        lambda path: sst_files.load(path, {}),
    ]
    for take in takes:
        with pytest.raises(UnicodeEncodeError):
            take("\ud800")
        with pytest.raises(RuntimeError, match="of the path"):
            take(Path())
        with pytest.raises(TypeError, match="not int"):
            take(5)


def test_words_that_are_none_of_the_choices(path: Path) -> None:
    misuses: list[dict[str, Any]] = [
        {"mode": "update"},
        {"duplicates": "last"},
        {"nulls": "keep"},
        {"compression": "zstd"},
        {"threads": 0},
        {"key": "k"},
    ]
    for misuse in misuses:
        with pytest.raises(sst_files.UsageError):
            sst_files.load(path, [], **misuse)
    assert not path.exists()
