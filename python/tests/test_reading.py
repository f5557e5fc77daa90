"""Lookups and walks."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import sst_files


def test_a_set_is_a_mapping(fruit: Path) -> None:
    with sst_files.open(fruit) as db:
        assert isinstance(db, Mapping)
        assert db["apple"] == b"red"
        assert db[b"pear"] == b"green"
        assert "plum" in db and b"fig" not in db
        assert len(db) == 3 and bool(db)
        expected = {b"apple": b"red", b"pear": b"green", b"plum": b"blue"}
        assert dict(db) == expected
        assert dict(db.items()) == expected
        assert set(db) == set(db.keys()) == set(expected)
        assert sorted(db.values()) == sorted(expected.values())
        assert (b"apple", b"red") in db.items() and (b"apple", b"blue") not in db.items()
        assert b"blue" in db.values()
        assert list(db) == sorted(expected, key=lambda key: (sst_files.key_hash(key), key))
        assert db.get("fig") is None and db.get("fig", 7) == 7 and db.get("plum", 7) == b"blue"
        with pytest.raises(KeyError) as caught:
            db["fig"]
        assert isinstance(caught.value, sst_files.SstError) and caught.value.args == (b"fig",)


def test_keys_are_bytes_text_or_integers(path: Path) -> None:
    pairs: list[tuple[Any, Any]] = [(b"\xff\0", b"raw"), ("é", "text"), (42, 7), (-1, "minus"), ("", "empty")]
    sst_files.load(path, pairs)
    db = sst_files.open(path)
    assert db[b"\xff\0"] == db[bytearray(b"\xff\0")] == db[memoryview(b"\xff\0")] == b"raw"
    assert db["é"] == db["é".encode()] == b"text"
    assert db[42] == db["42"] == b"7"
    assert db[-1] == b"minus" and db[""] == b"empty"
    for bad in (None, 1.5, True, [1], object(), (1, 2)):
        with pytest.raises(TypeError):
            db[bad]  # type: ignore[index]


def test_many_keys_are_looked_up_at_once(fruit: Path) -> None:
    db = sst_files.open(fruit)
    expected = [b"red", None, b"blue", b"red"]
    keys: list[bytes | str] = ["apple", "fig", b"plum", "apple"]
    assert db.get_many(keys) == db.get_many(tuple(keys)) == db.get_many(iter(keys)) == expected
    assert db.get_many([]) == []
    arrow = db.get_many(keys, to="arrow")
    assert (len(arrow), arrow.null_count, arrow.type) == (4, 1, "Binary")
    assert arrow.to_pylist() == expected
    assert db.get_many(["apple"], to="arrow", text=True).to_pylist() == ["red"]
    for misuse in ("apple", b"apple"):
        with pytest.raises(TypeError):
            db.get_many(misuse)
    for wrong in (None, float("nan"), 1.5):
        with pytest.raises(TypeError, match="^key 1: "):
            db.get_many(["apple", wrong])  # type: ignore[list-item]


def test_a_view_outlives_its_set(fruit: Path, path: Path) -> None:
    large = bytes(range(256)) * 4096
    sst_files.load(path, {"large": large, "empty": b""}, mode="append", blob_threshold=1 << 16)
    db = sst_files.open(fruit)
    view, small, empty = (db.get_view(key) for key in ("large", "apple", "empty"))
    assert db.get_view("fig") is None
    db.close()
    assert view is not None and small is not None and empty is not None
    assert view.readonly and view.tobytes() == large and view[-256:] == bytes(range(256))
    assert small.tobytes() == b"red" and bytes(empty) == b""
    with pytest.raises(TypeError):
        view[0] = 1


def test_several_values_of_a_key(path: Path) -> None:
    sst_files.load(path, [("a", "1"), ("b", "x"), ("a", "2"), ("a", "3")], duplicates="keep")
    db = sst_files.open(path)
    assert db.get_all("a") == [b"1", b"2", b"3"]
    assert db.get_all("b") == [b"x"] and db.get_all("c") == []
    assert len(db) == 4 and sorted(db.items())[:3] == [(b"a", b"1"), (b"a", b"2"), (b"a", b"3")]


def test_families_are_key_spaces_of_their_own(fruit: Path) -> None:
    sst_files.load(fruit, {"apple": "7"}, family=3)
    db = sst_files.open(fruit)
    assert db.families() == [0, 3] and db.family == 0
    prices = db.with_family(3)
    assert dict(prices) == {b"apple": b"7"} and prices.family == 3
    assert dict(sst_files.open(fruit, family=3)) == dict(prices)
    assert len(sst_files.open(fruit, family=9)) == 0


def test_a_refresh_shows_the_newest_commit(fruit: Path) -> None:
    db = sst_files.open(fruit)
    iterator = iter(db.items())
    first = next(iterator)
    before = db.commit
    assert not db.refresh()
    sst_files.load(fruit, {"fig": "purple"})
    assert db["apple"] == b"red" and "fig" not in db
    assert db.refresh() and db.commit > before
    assert dict(db) == {b"fig": b"purple"}
    # An iteration stays with the commit that it has begun with.
    assert len([first, *iterator]) == 3


def test_a_shard_of_a_directory(path: Path) -> None:
    data = {str(number): str(number) for number in range(1000)}
    sst_files.load(path, data)
    shards = [sst_files.open(path, shard=(index, 3)) for index in range(3)]
    found: dict[bytes, bytes] = {}
    for index, shard in enumerate(shards):
        part = dict(shard)
        assert all(sst_files.key_shard(key, 3) == index for key in part)
        assert 250 < len(part) < 420
        found |= part
    assert found == {key.encode(): value.encode() for key, value in data.items()}
    for bad in ((3, 3), (0, 0)):
        with pytest.raises(sst_files.UsageError):
            sst_files.open(path, shard=bad)


def test_facts_about_a_set(fruit: Path) -> None:
    db = sst_files.open(fruit, statistics=True)
    facts = db.inspect()
    assert facts == sst_files.inspect(fruit)
    assert facts["commit"] == db.commit and facts["kind"] == "load" and facts["is_protected"]
    (table,) = facts["tables"]
    assert table["entries"] == 3 and table["filter_bytes"] > 0
    assert table["bytes"] == (fruit / f"{table['sequence']:08d}.sst").stat().st_size
    assert table["min_hash"] == min(map(sst_files.key_hash, db))
    assert db.entry_count == 3 and db.certificate() is None
    assert [db.get(key) for key in ("apple", "fig")] == [b"red", None]
    statistics = db.statistics()
    assert (statistics.lookups, statistics.hits, statistics.misses) == (2, 1, 1)
    assert statistics.cache_capacity > 0
    assert sst_files.open(fruit, cache_bytes=1 << 20).statistics().cache_capacity == 1 << 20
    assert db.path == fruit and db.url is None
    assert sst_files.open(fruit, mmap=False, max_open_files=1)["apple"] == b"red"


def test_a_verification_finds_damage(fruit: Path) -> None:
    db = sst_files.open(fruit)
    report = db.verify()
    assert report.is_intact and report.damage == [] and report.entries == 3 and report.tables == 1
    report.raise_for_damage()
    (table,) = fruit.glob("*.sst")
    assert sst_files.verify(table).is_intact
    content = bytearray(table.read_bytes())
    content[12] ^= 4
    table.write_bytes(content)
    report = sst_files.verify(fruit)
    assert not report.is_intact
    (damage,) = (it for it in report.damage if isinstance(it, sst_files.CorruptionError))
    assert damage.file == str(table) and damage.block == 0 and damage.cause
    with pytest.raises(ValueError) as caught:
        report.raise_for_damage()
    assert isinstance(caught.value, sst_files.CorruptionError)
    with pytest.raises(sst_files.CorruptionError) as caught_by_get:
        [sst_files.open(fruit, mmap=False).get(key) for key in ("apple", "pear", "plum")]
    assert caught_by_get.value.file == str(table)


def test_a_commit_without_its_meta_file_is_damaged_for_readers_and_writers(fruit: Path) -> None:
    (meta,) = fruit.glob("*.meta")
    meta.unlink()
    for use in (sst_files.open, lambda path: sst_files.load(path, {"fig": "blue"}, mode="append")):
        with pytest.raises(sst_files.CorruptionError) as caught:
            use(fruit)
        assert caught.value.file == str(meta)


def test_a_closed_set_says_so(fruit: Path) -> None:
    db = sst_files.open(fruit)
    keys = iter(db)
    db.close()
    db.close()
    assert db.closed and "closed" in repr(db)
    assert len(list(keys)) == 3
    calls: list[Callable[[], Any]] = [
        lambda: db["apple"],
        lambda: db.get("apple"),
        lambda: len(db),
        lambda: list(db),
        lambda: db.get_many(["apple"]),
        lambda: db.scan(),
        lambda: db.refresh(),
        lambda: db.verify(),
        lambda: db.follow(),
    ]
    for call in calls:
        with pytest.raises(sst_files.ClosedError):
            call()


def test_a_pickle_opens_the_directory_again(fruit: Path) -> None:
    sst_files.load(fruit, {"x": "1"}, family=2)
    db = sst_files.open(str(fruit), family=2, cache_bytes=1 << 20)
    copy = pickle.loads(pickle.dumps(db))
    assert copy.family == 2 and copy["x"] == b"1"
    assert copy.statistics().cache_capacity == 1 << 20


def test_paths_that_are_no_sets(tmp_path: Path) -> None:
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(FileNotFoundError) as caught:
            sst_files.open(missing)
        assert isinstance(caught.value, sst_files.NotFoundError)
    with pytest.raises(TypeError):
        sst_files.open(7)  # type: ignore[arg-type]
    for empty in (sst_files.open, sst_files.verify, lambda path: sst_files.load(path, {})):
        with pytest.raises(sst_files.UsageError, match="empty"):
            empty("")
    with pytest.raises(sst_files.UsageError):
        sst_files.open("ftp://host/x", cache_dir=tmp_path)
