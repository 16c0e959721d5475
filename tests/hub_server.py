"""A Hugging Face hub of one repository on the loopback device, as far as its client needs one."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

REVISION = "0123456789abcdef0123456789abcdef01234567"
# Bytes of the largest file that the hub keeps in git itself.
LARGE = 100_000


class Handler(BaseHTTPRequestHandler):
    repository: ClassVar[str]
    files: ClassVar[Mapping[str, bytes]]
    downloaded: ClassVar[list[str]]
    # Files whose answers break off in the middle, so often, and the ranges that were asked for.
    breaks: ClassVar[dict[str, int]]
    ranges: ClassVar[list[tuple[str, str]]]
    # Files whose answers stop in the middle, until the client is gone.
    stalls: ClassVar[set[str]]

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = self.path.partition("?")[0]
        api = f"/api/models/{self.repository}"
        if path == f"{api}/revision/main":
            siblings = [{"rfilename": name} for name in self.files]
            self.reply_json({"id": self.repository, "sha": REVISION, "siblings": siblings})
        elif path.startswith(f"{api}/tree/{REVISION}"):
            self.reply_json(
                [
                    {"type": "file", "path": name, "size": len(data), "oid": etag(data)}
                    for name, data in self.files.items()
                ]
            )
        elif path.startswith(f"/{self.repository}/resolve/"):
            name = path.split("/", 5)[5]
            if name not in self.files:
                self.send_error(404)
                return
            if self.command == "GET":
                self.downloaded.append(name)
            self.reply_file(name)
        else:
            self.send_error(404)

    def reply_file(self, name: str) -> None:
        data, start = self.files[name], 0
        asked = self.headers.get("Range")
        if asked:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
        if asked and self.command == "GET":
            self.ranges.append((name, asked))
        self.send_response(206 if asked else 200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(data) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{etag(data)}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if self.command != "GET":
            return
        if name in self.stalls:
            self.wfile.write(data[start : (start + len(data)) // 2])
            self.wfile.flush()
            while self.connection.recv(1):
                pass
            self.close_connection = True
        elif self.breaks.get(name, 0) > 0:
            self.breaks[name] -= 1
            self.wfile.write(data[start : (start + len(data)) // 2])
            self.close_connection = True
        else:
            self.wfile.write(data[start:])

    def reply_json(self, value: object) -> None:
        self.reply(json.dumps(value).encode(), "application/json")

    def reply(self, data: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{etag(data)}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing: stderr is part of what the tests look at."""


def etag(data: bytes) -> str:
    """Git's hash of a blob, or, as for files in its large file storage, the SHA-256."""
    if len(data) > LARGE:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@contextmanager
def hub(
    repository: str,
    files: Mapping[str, bytes],
    breaks: dict[str, int] | None = None,
    ranges: list[tuple[str, str]] | None = None,
    stalls: set[str] | None = None,
) -> Iterator[tuple[str, list[str]]]:
    """Serve a repository; give the endpoint and the list of the names that were downloaded.

    The file of a name in `breaks` breaks off in the middle so often. Requests for the rest of a
    file are appended to `ranges`. The file of a name in `stalls` stops in the middle, and nothing
    more comes.
    """
    downloaded: list[str] = []
    attributes = {
        "repository": repository,
        "files": files,
        "downloaded": downloaded,
        "breaks": breaks if breaks is not None else {},
        "ranges": ranges if ranges is not None else [],
        "stalls": stalls if stalls is not None else set(),
    }
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Hub", (Handler,), attributes)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", downloaded
        finally:
            server.shutdown()
            thread.join()
