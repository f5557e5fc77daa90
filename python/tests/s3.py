"""Buckets through the interface of S3: moto's server, on loopback. Not collected with the other tests, as
the wheel of the gate has no TLS: `pip install 'moto[server]' boto3 . && pytest tests/s3.py`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

import sst_files


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "SST_CACHE_DIR": str(tmp_path / "cache"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=settings["AWS_ENDPOINT"], region_name="us-east-1")
    client.create_bucket(Bucket="tables")
    # The server of moto keeps its state between tests.
    yield f"s3://tables/{tmp_path.name}"
    server.stop()


def test_a_bucket_is_loaded_pulled_followed_and_rolled_back(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sst_files.open(bucket)
    data = {str(number): str(number) for number in range(1000)}
    report = sst_files.load(bucket, data, certify=True)
    assert report.certificate is not None and report.entries == 1000
    whole = sst_files.open(bucket)
    assert dict(whole) == {key.encode(): value.encode() for key, value in data.items()}
    assert whole.certificate() == sst_files.certificate(bucket) == report.certificate
    shards = [sst_files.open(bucket, shard=(index, 3)) for index in range(3)]
    for key in data:
        assert shards[sst_files.key_shard(key, 3)][key] == data[key].encode()
    seen = threading.Event()
    with whole.follow(0.05, on_commit=lambda _: seen.set()):
        sst_files.load(bucket, {"new": "1"}, mode="append")
        assert seen.wait(30) and whole["new"] == b"1"
    with sst_files.Writer(bucket, mode="append") as writer:
        writer.add("written", "2")
    assert whole.refresh() and whole["written"] == b"2" and len(whole) == 1002
    merged = sst_files.merge(bucket, bucket, certify=True)
    assert merged.certificate is not None and merged.entries == 1002
    assert sst_files.verify(bucket).is_intact
    assert sst_files.inspect(bucket)["commit"] == merged.commit
    sst_files.rollback(bucket)
    assert whole.refresh()
    assert sst_files.gc(bucket, grace=0, keep_generations=0) > 0
    assert dict(sst_files.open(bucket, cache_dir=tmp_path / "fresh")) == dict(whole)


def test_a_directory_is_pushed(bucket: str, fruit: Path) -> None:
    assert sst_files.push(fruit, bucket).copied_files == 2
    assert dict(sst_files.open(bucket)) == dict(sst_files.open(fruit))
    assert list(sst_files.diff(fruit, bucket)) == []
    sst_files.pull(bucket, fruit.parent / "copy", shard=(0, 2))
    assert sst_files.inspect(fruit.parent / "copy")["shard"] == (0, 2)


def test_fragments_are_gathered_into_a_bucket(bucket: str, fruit: Path, tmp_path: Path) -> None:
    vegetables = tmp_path / "vegetables"
    sst_files.load(vegetables, {"leek": "green"})
    report = sst_files.gather([fruit, vegetables], bucket, overlap="later-wins", certify=True)
    assert report.tables == 2 and report.entries == 4 and report.certificate is not None
    # A fragment may be a bucket, too.
    sst_files.gather([bucket], f"{bucket}-copy")
    assert dict(sst_files.open(f"{bucket}-copy")) == dict(sst_files.open(bucket))


def test_what_fails_leaves_no_object(bucket: str) -> None:
    def broken() -> Iterator[tuple[str, str]]:
        for number in range(5):
            yield str(number), "x" * 10_000
        raise ZeroDivisionError

    def objects() -> list[str]:
        endpoint = os.environ["AWS_ENDPOINT"]
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
        prefix = bucket.removeprefix("s3://tables/")
        found = client.list_objects_v2(Bucket="tables", Prefix=prefix).get("Contents", [])
        # A claim that was released stays until garbage is collected.
        return [it["Key"] for it in found if "/claims/" not in it["Key"]]

    with pytest.raises(ZeroDivisionError):
        sst_files.load(bucket, broken())
    with pytest.raises(sst_files.DuplicateKeyError):
        sst_files.load(bucket, [("a", "1"), ("a", "2")], duplicates="error")
    with pytest.raises(ZeroDivisionError), sst_files.Writer(bucket) as writer:
        writer.add("b", "1" * 10_000_000)
        writer.add("a", "2")
        raise ZeroDivisionError
    assert objects() == []
