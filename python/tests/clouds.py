"""Buckets of Azure by an emulator, those of Google by a server of its XML interface in this folder, and plain
HTTP. Not collected with the other tests, as the wheel of the gate has no TLS: `npm install azurite`,
`pip install .`, and `pytest tests/clouds.py`, with the folder of `azurite-blob` in `PATH`.

Google's emulators cannot be used: the store writes through the XML interface, with the header
`x-goog-if-generation-match`. fake-gcs-server refuses each plain `PUT` there ("invalid uploadType"), with and without
that header; gcp-storage-emulator ignores the header, and has no lists."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import http.server
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

import sst_files
from xml_storage import Bucket, XmlStorageHandler

DATA = {str(number): str(number) for number in range(1000)}
ENTRIES = {key.encode(): value.encode() for key, value in DATA.items()}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SST_CACHE_DIR", str(tmp_path / "cache"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for(request: urllib.request.Request) -> None:
    """Sends a request until the server answers, with whatever status."""
    for _ in range(600):
        try:
            urllib.request.urlopen(request, timeout=10).close()
            return
        except urllib.error.HTTPError as error:
            assert error.code == 409, error.read()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(request.full_url)


def serve_and_change(bucket: str) -> None:
    """A bucket is filled, pulled, followed and rolled back."""
    with pytest.raises(FileNotFoundError):
        sst_files.open(bucket)
    report = sst_files.load(bucket, DATA, certify=True)
    assert report.certificate is not None
    db = sst_files.open(bucket)
    assert dict(db) == ENTRIES and db.certificate() == report.certificate
    seen = threading.Event()
    with db.follow(0.05, on_commit=lambda _: seen.set()):
        sst_files.load(bucket, {"new": "1"}, mode="append")
        assert seen.wait(30) and db["new"] == b"1"
    with sst_files.Writer(bucket, mode="append") as writer:
        writer.add("written", "2")
    assert db.refresh() and db["written"] == b"2"
    assert sst_files.verify(bucket).is_intact
    sst_files.rollback(bucket)
    assert db.refresh() and "written" not in db
    assert sst_files.gc(bucket, grace=0, keep_generations=0) > 0


def test_azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite-blob is not installed")
    port = free_port()
    # The account that every emulator of Azure has.
    account, key = "devstoreaccount1", (
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    )
    for name, value in {
        "AZURE_STORAGE_ACCOUNT_NAME": account,
        "AZURE_STORAGE_ACCOUNT_KEY": key,
        "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{account}",
        "AZURE_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    command = [program, "--blobPort", str(port), "--location", str(tmp_path)]
    command += ["--skipApiVersionCheck", "--silent"]
    server = subprocess.Popen(command)
    try:
        now, version = formatdate(usegmt=True), "2021-08-06"
        signed = f"PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{now}\nx-ms-version:{version}\n"
        signed += f"/{account}/{account}/tables\nrestype:container"
        digest = hmac.new(base64.b64decode(key), signed.encode(), hashlib.sha256).digest()
        headers = {
            "x-ms-date": now,
            "x-ms-version": version,
            "Authorization": f"SharedKey {account}:{base64.b64encode(digest).decode()}",
        }
        url = f"http://127.0.0.1:{port}/{account}/tables?restype=container"
        wait_for(urllib.request.Request(url, method="PUT", headers=headers))
        serve_and_change("az://tables/shop.db")
    finally:
        server.terminate()
        server.wait()


def test_google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket()
    handler = type("Handler", (XmlStorageHandler,), {"bucket": bucket})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        account = tmp_path / "account.json"
        account.write_text(
            json.dumps(
                {
                    "gcs_base_url": f"http://127.0.0.1:{server.server_port}",
                    "disable_oauth": True,
                    "client_email": "",
                    "private_key": "",
                    "private_key_id": "",
                }
            )
        )
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(account))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            serve_and_change("gs://tables/shop.db")
        finally:
            server.shutdown()
            thread.join()
    # Claims are created, and `CURRENT` is replaced, on conditions that the store checks.
    conditions = {name: condition for command, name, condition in bucket.requests if command == "PUT"}
    assert conditions["shop.db/CURRENT"] not in (None, "0")
    claims = [condition for name, condition in conditions.items() if "claims/" in name]
    assert claims and None not in claims


class RangeHandler(http.server.SimpleHTTPRequestHandler):
    """Serves the files of a directory, and parts of them."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        start, end, status = 0, len(content), 200
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            status = 206
            start = int(first) if first else max(len(content) - int(last), 0)
            end = min(int(last) + 1, len(content)) if first and last else len(content)
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.send_header("Content-Length", str(end - start))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[start:end])

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def http_url(tmp_path: Path) -> Iterator[str]:
    handler = functools.partial(RangeHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/db"
        server.shutdown()
        thread.join()


def test_http_is_read(path: Path, http_url: str) -> None:
    sst_files.load(path, DATA)
    db = sst_files.open(http_url)
    assert dict(db) == ENTRIES
    shard = sst_files.open(http_url, shard=(1, 2))
    for key in list(DATA)[:50]:
        if sst_files.key_shard(key, 2) == 1:
            assert shard[key] == DATA[key].encode()
    sst_files.load(path, {"new": "1"}, mode="append")
    assert db.refresh() and db["new"] == b"1"
    assert sst_files.verify(http_url).is_intact
    with pytest.raises(sst_files.SstError):
        sst_files.load(http_url, DATA)
