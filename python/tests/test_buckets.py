"""Buckets, by a `file` URL."""

from __future__ import annotations

from pathlib import Path

import pytest

import sst_files


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SST_CACHE_DIR", str(tmp_path / "cache"))
    return (tmp_path / "bucket").as_uri()


def test_a_bucket_is_pulled_verified_and_followed(fruit: Path, bucket: str, tmp_path: Path) -> None:
    report = sst_files.push(fruit, bucket)
    assert report.changed and report.copied_files == 2
    told: list[sst_files.Progress] = []
    db = sst_files.open(bucket, progress=told.append)
    assert dict(db) == {b"apple": b"red", b"pear": b"green", b"plum": b"blue"}
    assert db.url == bucket and db.path.is_relative_to(tmp_path / "cache")
    assert db.verify().is_intact
    assert not db.refresh()
    sst_files.load(fruit, {"fig": "purple"}, mode="append")
    assert not sst_files.push(fruit, bucket).kept_files == 0
    assert "fig" not in db
    assert db.refresh() and db["fig"] == b"purple"
    # Another set of the same cache finds its files there.
    assert sst_files.open(bucket).path == db.path
    elsewhere = sst_files.open(bucket, cache_dir=tmp_path / "elsewhere")
    assert dict(elsewhere) == dict(db) and elsewhere.path.is_relative_to(tmp_path / "elsewhere")


def test_shards_of_a_bucket(bucket: str, path: Path) -> None:
    data = {str(number): str(number) for number in range(1000)}
    sst_files.load(path, data)
    sst_files.push(path, bucket)
    shards = [sst_files.open(bucket, shard=(index, 3)) for index in range(3)]
    for key in data:
        assert shards[sst_files.key_shard(key, 3)][key] == data[key].encode()
    assert sum(len(shard) for shard in shards) == 1000
    wrong = next(key for key in data if sst_files.key_shard(key, 3) != 0)
    for call in (lambda: shards[0][wrong], lambda: shards[0].get(wrong), lambda: wrong in shards[0]):
        with pytest.raises(LookupError) as caught:
            call()
        assert isinstance(caught.value, sst_files.WrongShardError)
        assert (caught.value.index, caught.value.count) == (0, 3)
    assert shards[0].inspect()["shard"] == (0, 3)


def test_pull_and_push_between_directories(fruit: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    report = sst_files.pull(fruit, copy)
    assert report.changed and not sst_files.pull(fruit, copy).changed
    assert list(sst_files.diff(fruit, copy)) == []
    sst_files.load(copy, {"a": "1"})
    with pytest.raises(sst_files.ConflictError):
        sst_files.pull(fruit, copy)
    sst_files.pull(fruit, copy, replace=True)
    assert len(sst_files.open(copy)) == 3
    sst_files.pull(fruit, tmp_path / "shard", shard=(1, 2))
    assert sst_files.inspect(tmp_path / "shard")["shard"] == (1, 2)


def test_damage_does_not_pass(fruit: Path, bucket: str, tmp_path: Path) -> None:
    sst_files.push(fruit, bucket)
    (table,) = (tmp_path / "bucket").glob("*.sst")
    content = bytearray(table.read_bytes())
    content[12] ^= 1
    table.write_bytes(content)
    with pytest.raises(sst_files.CorruptionError):
        sst_files.open(bucket)


def test_garbage_is_collected_in_buckets_only(fruit: Path, bucket: str) -> None:
    """A directory has a lock, and its writers remove what is obsolete."""
    sst_files.push(fruit, bucket)
    for place in (bucket, fruit):
        with pytest.raises(sst_files.UsageError):
            sst_files.gc(place)
    with pytest.raises(sst_files.UsageError):
        sst_files.gc(bucket, grace=-1)


def test_urls_that_are_no_buckets(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sst_files.open(bucket)
    for url in ("ftp://host/x", "s3://", "file://host/x"):
        with pytest.raises(sst_files.UsageError):
            sst_files.open(url)
    with pytest.raises(sst_files.UsageError):
        sst_files.pull(bucket, bucket)


def test_a_file_url_is_written_to(bucket: str, tmp_path: Path) -> None:
    sst_files.load(bucket, {"a": "1"})
    assert dict(sst_files.open(tmp_path / "bucket")) == {b"a": b"1"}
    with sst_files.Writer(bucket, mode="append") as writer:
        writer.add("b", "2")
    sst_files.compact(bucket)
    assert dict(sst_files.open(bucket)) == {b"a": b"1", b"b": b"2"}
    assert sst_files.verify(bucket).is_intact and len(sst_files.log(bucket)) > 0
