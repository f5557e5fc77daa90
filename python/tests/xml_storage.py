"""A server of Google's XML interface, as it is documented: objects with generations, conditions on them, ranges,
lists, and uploads in parts. The emulators that packages offer lack the conditions: see `clouds.py`."""

from __future__ import annotations

import http.server
import itertools
import threading
import time
import urllib.parse
from email.utils import formatdate
from typing import NamedTuple
from xml.sax.saxutils import escape


class StoredObject(NamedTuple):
    content: bytes
    generation: int
    modified: float


class Bucket:
    """One bucket, whose name is not looked at."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.objects: dict[str, StoredObject] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.generations = itertools.count(1_700_000_000_000_000)
        self.requests: list[tuple[str, str, str | None]] = []


class XmlStorageHandler(http.server.BaseHTTPRequestHandler):
    """Answers requests for a [`Bucket`]."""

    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def handle_request(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        name = urllib.parse.unquote(url.path).lstrip("/").partition("/")[2]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        condition = self.headers.get("x-goog-if-generation-match")
        with self.bucket.lock:
            self.bucket.requests.append((self.command, name, condition))
            self.answer(name, query, body, condition)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request

    def answer(self, name: str, query: dict[str, str], body: bytes, condition: str | None) -> None:
        bucket, found = self.bucket, self.bucket.objects.get(name)
        upload = query.get("uploadId")
        if self.command == "POST" and "uploads" in query:
            upload = str(next(bucket.generations))
            bucket.uploads[upload] = {}
            self.send_xml(
                f"<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>{escape(name)}</Key>"
                f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            )
        elif self.command == "PUT" and upload is not None:
            bucket.uploads[upload][int(query["partNumber"])] = body
            self.send(200, {"ETag": f'"part-{query["partNumber"]}"'})
        elif self.command == "POST" and upload is not None:
            parts = sorted(bucket.uploads.pop(upload).items())
            headers = self.store(name, b"".join(part for _, part in parts))
            self.send_xml(
                "<CompleteMultipartUploadResult><Location>l</Location><Bucket>b</Bucket>"
                f"<Key>{escape(name)}</Key><ETag>{headers['ETag']}</ETag>"
                "</CompleteMultipartUploadResult>",
                headers,
            )
        elif self.command == "DELETE" and upload is not None:
            bucket.uploads.pop(upload, None)
            self.send(204, {})
        elif self.command == "PUT":
            # The generation of an object that is not there is 0.
            generation = found.generation if found else 0
            if condition is not None and int(condition) != generation:
                self.send(412, {})
            else:
                self.send(200, self.store(name, body))
        elif self.command == "GET" and not name:
            self.send_list(query)
        elif found is None:
            self.send(404, {})
        elif self.command == "DELETE":
            del bucket.objects[name]
            self.send(204, {})
        else:
            self.send_object(found)

    def store(self, name: str, content: bytes) -> dict[str, str]:
        stored = StoredObject(content, next(self.bucket.generations), time.time())
        self.bucket.objects[name] = stored
        return self.headers_of(stored)

    @staticmethod
    def headers_of(stored: StoredObject) -> dict[str, str]:
        return {
            "ETag": f'"{stored.generation:x}"',
            "x-goog-generation": str(stored.generation),
            "Last-Modified": formatdate(stored.modified, usegmt=True),
        }

    def send_object(self, stored: StoredObject) -> None:
        content, headers = stored.content, self.headers_of(stored)
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(len(content) - int(last), 0)
            end = min(int(last) + 1, len(content)) if first and last else len(content)
            if start >= len(content):
                self.send(416, {"Content-Range": f"bytes */{len(content)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
            self.send(206, headers, content[start:end])
        else:
            self.send(200, headers, content)

    def send_list(self, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        after = query.get("start-after", "")
        items, prefixes = [], set()
        for name, stored in sorted(self.bucket.objects.items()):
            if not name.startswith(prefix) or name <= after:
                continue
            rest = name[len(prefix) :]
            if delimiter and delimiter in rest:
                prefixes.add(prefix + rest.partition(delimiter)[0] + delimiter)
                continue
            modified = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(stored.modified))
            items.append(
                f"<Contents><Key>{escape(name)}</Key><Size>{len(stored.content)}</Size>"
                f"<LastModified>{modified}</LastModified>"
                f'<ETag>"{stored.generation:x}"</ETag></Contents>'
            )
        items += [f"<CommonPrefixes><Prefix>{escape(it)}</Prefix></CommonPrefixes>" for it in sorted(prefixes)]
        self.send_xml(f"<ListBucketResult>{''.join(items)}</ListBucketResult>")

    def send_xml(self, text: str, headers: dict[str, str] | None = None) -> None:
        headers = {"Content-Type": "application/xml", **(headers or {})}
        self.send(200, headers, f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode())

    def send(self, status: int, headers: dict[str, str], content: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass
