"""HTTP client of the downloader, on requests: bounded answers, redirects one by one, the token for its hosts only.

What it does: `Client.json` reads a small document, `Client.stream` opens a file at a byte. Proxies come from the
environment, as requests reads them; passwords in a .netrc do not. Redirects are followed here, not by requests: each
step is checked, and the token goes to nobody but the hosts that it is for.
What it refuses to know: what the documents mean (hubs.py) and where bytes go (transfer.py).
"""

import contextlib
import email.utils
import logging
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from store.bounded_json import JsonError, JsonLimits, parse
from web.downloader.troubles import Final, Passing, Trouble

CONNECT_S, READ_S = 10.0, 30.0
MAX_REDIRECTS = 5
PIECE_BYTES = 1 << 18
"""Most that is read at once: what a kill can make us fetch again."""
JSON_LIMITS = JsonLimits(max_bytes=8 << 20, max_depth=16, max_values=400_000, finite_only=True)
MAX_WAIT_S = 900.0
LOST = (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError)
"""What a line that is lost raises, before or while it is read."""
_RANGE = re.compile(r"^bytes (\d{1,18})-(\d{1,18})/(\d{1,18})$")
_REDIRECTS = (301, 302, 303, 307, 308)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_DOWN = (408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524)


@dataclass(frozen=True)
class Token:
    """A secret and the origins (scheme, host, port) that may see it."""

    secret: str
    origins: frozenset[str]

    def headers(self, url: str) -> dict[str, str]:
        """The header for one request: nothing for another origin, or where it would be sent in the open."""
        safe = urlsplit(url).scheme == "https" or urlsplit(url).hostname in _LOOPBACK
        allowed = bool(self.secret) and safe and origin(url) in self.origins
        return {"Authorization": f"Bearer {self.secret}"} if allowed else {}


@dataclass
class Answer:
    """An open answer at byte `start` of a file of `size` bytes (0: not told). `told`: the headers of every step."""

    response: requests.Response
    start: int
    size: int
    told: Mapping[str, str]

    def pieces(self) -> Iterator[bytes]:
        """The bytes as they come, PIECE_BYTES at the most. Raises one of LOST where the line is lost."""
        while piece := self.response.raw.read1(PIECE_BYTES, decode_content=False):
            yield piece


class Client:
    """One per downloader. Not thread-safe."""

    def __init__(self, token: Token, agent: str = "inglenook") -> None:
        self._token = token
        self._session = requests.Session()
        self._session.auth = _no_auth  # else requests would look into a .netrc
        self._session.headers.clear()
        self._session.headers.update({"User-Agent": agent, "Accept": "*/*", "Accept-Encoding": "identity"})

    def json(self, url: str) -> tuple[Any, Mapping[str, str]]:
        """A JSON document and its headers. Raises Trouble."""
        with self._open(url, {}) as (response, _):
            _check(response, url)
            data = _read_all(response, JSON_LIMITS.max_bytes)
            try:
                return parse(data, JSON_LIMITS), response.headers
            except JsonError:
                raise Passing("fetch.bad_answer", host=host(url)) from None

    @contextlib.contextmanager
    def stream(self, url: str, start: int, end: int | None = None) -> Iterator[Answer]:
        """A file from byte `start` on, to byte `end` if one is given. One that knows no ranges
        answers from byte 0: `Answer.start` says which it is. Raises Trouble."""
        wanted = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
        with self._open(url, wanted) as (response, told):
            if response.status_code == 416:
                raise Final("fetch.wrong_size", host=host(url))
            _check(response, url)
            yield _answer(response, start, told, url)

    @contextlib.contextmanager
    def _open(self, url: str, headers: Mapping[str, str]) -> Iterator[tuple[requests.Response, Mapping[str, str]]]:
        """Follow the redirects; the last answer, and what the answers on the way have told."""
        asked = url
        told: dict[str, str] = {}
        for _ in range(MAX_REDIRECTS + 1):
            try:
                response = self._session.get(
                    url,
                    headers={**headers, **self._token.headers(url)},
                    timeout=(CONNECT_S, READ_S),
                    stream=True,
                    allow_redirects=False,
                )
            except LOST as error:
                raise _no_answer(error, url) from None
            except ValueError:  # requests looks at where a redirect leads, also where it is not to follow
                raise Final("fetch.redirects", host=host(url)) from None
            with contextlib.closing(response):
                told = {**{name.lower(): value for name, value in response.headers.items()}, **told}
                if response.status_code not in _REDIRECTS:
                    yield response, told
                    return
                url = _next_url(response, url)
        raise Final("fetch.redirects", host=host(asked))


def origin(url: str) -> str:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or {'https': 443, 'http': 80}.get(parts.scheme, 0)}"


def host(url: str) -> str:
    """The host of an address, all that people are told of it: the rest may be signed."""
    return urlsplit(url).hostname or "?"


def retry_after_s(value: str, now: float | None = None) -> float:
    """Seconds of a Retry-After header, a number or a date; between 0 and MAX_WAIT_S."""
    if value.strip().isdigit():
        return min(MAX_WAIT_S, float(value.strip()[:9]))
    try:
        at = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return max(0.0, min(MAX_WAIT_S, at - (time.time() if now is None else now)))


def _answer(response: requests.Response, start: int, told: Mapping[str, str], url: str) -> Answer:
    if response.status_code == 206:
        match = _RANGE.match(response.headers.get("Content-Range", ""))
        if not match or int(match[1]) != start:
            raise Passing("fetch.bad_answer", host=host(url))
        return Answer(response, start, int(match[3]), told)
    length = response.headers.get("Content-Length", "")
    return Answer(response, 0, int(length) if length.isdigit() and len(length) < 18 else 0, told)


def _check(response: requests.Response, url: str) -> None:
    """Raises the trouble that a status means."""
    status, code = response.status_code, response.headers.get("X-Error-Code", "")
    if status in (200, 206):
        return
    if status == 429:
        raise Passing("fetch.busy", retry_after_s(response.headers.get("Retry-After", "")), host=host(url))
    if status in _DOWN:
        raise Passing("fetch.down", retry_after_s(response.headers.get("Retry-After", "")), host=host(url))
    if status in (401, 403) and not code and response.url != url:
        raise Passing("fetch.expired", host=host(url))
    raise _refusal(status, code, url)


def _refusal(status: int, code: str, url: str) -> Trouble:
    if code == "GatedRepo":
        return Final("fetch.gated", host=host(url))
    if status in (404, 410) or code in ("RepoNotFound", "EntryNotFound", "RevisionNotFound"):
        return Final("fetch.not_found", host=host(url))
    if status in (401, 403):
        return Final("fetch.token", host=host(url))
    return Final("fetch.refused", host=host(url), status=status)


def _no_answer(error: BaseException, url: str) -> Trouble:
    if isinstance(error, requests.exceptions.ProxyError | requests.exceptions.InvalidProxyURL):
        return Passing("fetch.proxy")
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema | UnicodeError):
        return Final("fetch.not_found", host=host(url))
    if isinstance(error, requests.exceptions.SSLError):
        return Passing("fetch.tls", host=host(url))
    return Passing("fetch.no_network", host=host(url))


def _next_url(response: requests.Response, url: str) -> str:
    """Where a redirect leads. Raises Final for an address that is none, or that is less safe than the one before."""
    try:
        following = urljoin(url, response.headers.get("Location", ""))
        parts = urlsplit(following)
        parts.port  # noqa: B018  a number that is no port is found here
    except ValueError:
        raise Final("fetch.redirects", host=host(url)) from None
    downgraded = urlsplit(url).scheme == "https" and parts.scheme != "https"
    if parts.scheme not in ("http", "https") or not parts.hostname or downgraded or len(following) > 16_000:
        raise Final("fetch.redirects", host=host(url))
    return following


def _read_all(response: requests.Response, most: int) -> bytes:
    """The body of a small document. Raises Passing."""
    data = bytearray()
    try:
        while piece := response.raw.read1(PIECE_BYTES, decode_content=True):
            data += piece
            if len(data) > most:
                raise Passing("fetch.bad_answer", host=host(response.url))
    except LOST as error:
        raise _no_answer(error, response.url) from None
    return bytes(data)


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings name whole addresses, signed ones too
