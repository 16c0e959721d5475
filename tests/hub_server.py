"""A Hugging Face hub of one repository on the loopback device, as far as its client needs one."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

REVISION = "0123456789abcdef0123456789abcdef01234567"


class Handler(BaseHTTPRequestHandler):
    repository: ClassVar[str]
    files: ClassVar[Mapping[str, bytes]]
    downloaded: ClassVar[list[str]]

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
            self.reply(self.files[name], "application/octet-stream")
        else:
            self.send_error(404)

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
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


@contextmanager
def hub(repository: str, files: Mapping[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """Serve a repository; give the endpoint and the list of the names that were downloaded."""
    downloaded: list[str] = []
    attributes = {"repository": repository, "files": files, "downloaded": downloaded}
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Hub", (Handler,), attributes)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", downloaded
        finally:
            server.shutdown()
            thread.join()
