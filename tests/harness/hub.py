"""A hub of models on this machine, for tests: speaks the API of huggingface.co, and of modelscope.cn, with faults.

What it does: `Hub(folder)` serves repositories (`add`) on a free port: facts, tree, resolve with a redirect to a signed
address that expires, Range. What may go wrong is a field of `Faults`. `sent` counts which bytes of which file went out,
so that a test can say what was fetched twice.
What it refuses to know: the downloader. `python -m tests.harness.hub FILE...` serves files by hand.
"""

import hashlib
import itertools
import json
import os
import re
import socket
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
PIECE_BYTES = 1 << 16
_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")


@dataclass
class Faults:
    """What goes wrong. `token`: only who shows it may have files ("" : everybody). `lies`: sends other bytes.
    `cut_after`: bytes of each answer, then the line is lost; taken from the list, the last one stays. `busy`: so many
    answers of 429 first. `expired`: so many signed addresses that are refused at once. `slow_s`: a pause before each
    64 KiB. `status`: answer everything with it. `next_page`: where the tree goes on."""

    gated: bool = False
    token: str = ""
    lies: bool = False
    no_range: bool = False
    no_hash: bool = False
    cut_after: list[int] = field(default_factory=list)
    busy: int = 0
    retry_after: str = "0"
    expired: int = 0
    slow_s: float = 0.0
    status: int = 0
    redirect_to: str = ""
    bad_json: bytes | None = None
    other_size: int = 0
    next_page: str = ""


class Hub:
    """Use as a context manager. `url` is its address; `asked` the paths of all requests, with the token shown."""

    def __init__(self, faults: Faults | None = None, port: int = 0, host: str = "127.0.0.1") -> None:
        self.faults = faults or Faults()
        self.files: dict[tuple[str, str], Path | bytes] = {}
        self.hashes: dict[tuple[str, str], str] = {}
        self.licences: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        self.sent: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.lock = threading.Lock()
        self.signatures: set[str] = set()
        self.serial = itertools.count(1)
        self.on_sent: Callable[[str, int], None] = lambda _path, _total: None
        """Called with a path and how many bytes of it went out in all, after each piece."""
        self.starts: dict[str, list[int]] = defaultdict(list)
        """At which byte each answer of a file began."""
        self._server = _Server((host, port), _handler_of(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, repo: str, path: str, content: Path | bytes, licence: str = "apache-2.0", sha256: str = "") -> str:
        """A file of a repository; its SHA-256, which the tree says (another one if it is given)."""
        self.files[repo, path] = content
        self.hashes[repo, path] = sha256 or _sha256(content)
        self.licences[repo] = licence
        return self.hashes[repo, path]

    def sent_twice(self, path: str) -> int:
        """How many bytes of a file went out more than once."""
        covered, twice = 0, 0
        with self.lock:
            spans = sorted(self.sent[path])
        for start, end in spans:
            twice += max(0, min(end, covered) - start)
            covered = max(covered, end)
        return twice

    def __enter__(self) -> "Hub":
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIECE_BYTES)  # little is on its way at a kill
        super().server_bind()

    def handle_error(self, request, client_address):
        """A client that was killed is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _sha256(content: Path | bytes) -> str:
    return hashlib.sha256(content if isinstance(content, bytes) else content.read_bytes()).hexdigest()


def _size(content: Path | bytes) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _read(content: Path | bytes, start: int, n_bytes: int) -> bytes:
    if isinstance(content, bytes):
        return content[start : start + n_bytes]
    with content.open("rb") as file:
        file.seek(start)
        return file.read(n_bytes)


def _handler_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.hub = hub
    return Handler


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments):
        pass

    def do_GET(self):
        with self.hub.lock:
            self.hub.asked.append((self.path, self.headers.get("Authorization", "")))
        try:
            self._answer()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self):
        faults, parts = self.hub.faults, urlsplit(self.path)
        if faults.status:
            self._end(faults.status)
        elif faults.busy > 0:
            faults.busy -= 1
            self._end(429, {"Retry-After": faults.retry_after})
        elif faults.bad_json is not None and parts.path.startswith("/api/"):
            self._end(200, {"Content-Type": "application/json"}, faults.bad_json)
        elif match := re.match(r"/api/models/([^/]+/[^/]+)/tree/", parts.path):
            self._tree(unquote(match[1]))
        elif match := re.match(r"/api/v1/models/([^/]+/[^/]+)/repo/files$", parts.path):
            self._modelscope(unquote(match[1]))
        elif match := re.match(r"/api/models/([^/]+/[^/]+?)(/revision/[^/]+)?$", parts.path):
            self._facts(unquote(match[1]))
        elif match := re.match(r"(?:/models)?/([^/]+/[^/]+)/resolve/[^/]+/(.+)$", parts.path):
            self._resolve(unquote(match[1]), unquote(match[2]))
        elif match := re.match(r"/signed/([^/]+/[^/]+)/(.+)$", parts.path):
            self._signed(unquote(match[1]), unquote(match[2]), parse_qs(parts.query).get("signature", [""])[0])
        elif match := re.match(r"/plain/([^/]+/[^/]+)/(.+)$", parts.path):
            self._content(unquote(match[1]), unquote(match[2]))
        else:
            self._end(404)

    def _facts(self, repo):
        if repo not in self.hub.licences:
            self._end(401, {"X-Error-Code": "RepoNotFound"})
            return
        facts = {"id": repo, "sha": COMMIT, "gated": "auto" if self.hub.faults.gated else False}
        self._json({**facts, "cardData": {"license": self.hub.licences[repo]}})

    def _tree(self, repo):
        entries = [{"type": "directory", "path": "q4", "size": 0, "oid": "0"}]
        for (owner, path), content in self.hub.files.items():
            if owner == repo:
                size = self.hub.faults.other_size or _size(content)
                lfs = {} if self.hub.faults.no_hash else {"lfs": {"oid": self.hub.hashes[owner, path], "size": size}}
                entries.append({"type": "file", "path": path, "size": size, "oid": "0" * 40, **lfs})
        self._json(entries, {"Link": f'<{self.hub.faults.next_page}>; rel="next"'} if self.hub.faults.next_page else {})

    def _modelscope(self, repo):
        found = [(key, content) for key, content in self.hub.files.items() if key[0] == repo]
        if not found:
            self._end(404)
            return
        files = [
            {"Type": "blob", "Path": key[1], "Size": _size(content), "Sha256": self.hub.hashes[key]}
            for key, content in found
        ]
        self._json({"Code": 200, "Data": {"Files": files}, "Success": True})

    def _resolve(self, repo, path):
        faults = self.hub.faults
        if (repo, path) not in self.hub.files:
            self._end(404, {"X-Error-Code": "EntryNotFound"})
            return
        shown = self.headers.get("Authorization", "")
        if faults.gated and not faults.token:
            self._end(403, {"X-Error-Code": "GatedRepo"})
            return
        if faults.token and shown != f"Bearer {faults.token}":
            self._end(401, {"X-Error-Code": "GatedRepo"} if faults.gated else {})
            return
        signature = str(next(self.hub.serial))
        if faults.expired > 0:
            faults.expired -= 1
        else:
            self.hub.signatures.add(signature)
        where = faults.redirect_to or f"/signed/{repo}/{quote(path)}?signature={signature}"
        linked = {"X-Linked-Size": str(_size(self.hub.files[repo, path])), "X-Repo-Commit": COMMIT}
        if not faults.no_hash:
            linked["X-Linked-ETag"] = f'"{self.hub.hashes[repo, path]}"'
        self._end(302, {"Location": where, **linked})

    def _signed(self, repo, path, signature):
        if signature not in self.hub.signatures:
            self._end(403)
            return
        self.hub.signatures.discard(signature)  # one use: it has expired
        self._content(repo, path)

    def _content(self, repo, path):
        content = self.hub.files.get((repo, path))
        if content is None:
            self._end(404)
            return
        size, match = _size(content), _RANGE.match(self.headers.get("Range", ""))
        start, end = 0, size
        if match and not self.hub.faults.no_range:
            start, end = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
        if start >= size:
            self._end(416, {"Content-Range": f"bytes */{size}"})
            return
        ranged = match and not self.hub.faults.no_range
        self.send_response(206 if ranged else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        self._send(path, content, start, end)

    def _send(self, path, content, start, end):
        faults = self.hub.faults
        left = end - start
        if faults.cut_after:
            left = min(left, faults.cut_after.pop(0) if len(faults.cut_after) > 1 else faults.cut_after[0])
        at, stop = start, start + left
        with self.hub.lock:
            self.hub.starts[path].append(start)
        while at < stop:
            if faults.slow_s:
                time.sleep(faults.slow_s)
            data = _read(content, at, min(PIECE_BYTES, stop - at))
            self.wfile.write(bytes(len(data)) if faults.lies else data)
            with self.hub.lock:
                self.hub.sent[path].append((at, at + len(data)))
                total = sum(last - first for first, last in self.hub.sent[path])
            self.hub.on_sent(path, total)
            at += len(data)
        if stop < end:
            self.close_connection = True

    def _json(self, value, headers=()):
        self._end(200, {"Content-Type": "application/json", **dict(headers)}, json.dumps(value).encode())

    def _end(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    with Hub(port=8765, host=os.environ.get("HUB_HOST", "127.0.0.1")) as served:
        for given in map(Path, sys.argv[1:]):
            served.add("local/models", given.name, given)
        sys.stdout.write(f"HF_ENDPOINT={served.url}, repository local/models\n")
        threading.Event().wait()
