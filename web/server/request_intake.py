"""Request intake: what has arrived of one request, and whether a thread may have it. Sans I/O.

What it does: collects the bytes of a head and of a small body; finds the end of the head and the length of the body;
says when the request is ready for a thread, when it has to be refused, and when its peer is too slow. A body longer
than SMALL_BODY is ready with its head: whoever reads it looks after its pace (paced_reader.py).
For the turnstile it finds path, cookies and language in the head.
What it refuses to know: sockets, threads, and everything else of HTTP (gunicorn parses heads).
"""

import re
from dataclasses import dataclass, field
from enum import Enum

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from web.i18n.language import ENGLISH, best_of, gettext_in, marked

HEAD_S = 10.0  # for a whole head
GRACE_S = 10.0  # for a body, before its rate counts
LEAST_RATE = 4096  # bytes per second, after that
MAX_HEAD = 1 << 16
MAX_COOKIES, MAX_LANGUAGES = 16_384, 200  # letters of the headers that are looked at here; browsers send less
AGAIN_S = 10  # for who is turned away at the turnstile
SMALL_BODY = 256 * 1024  # as much as a form without files may have (app.py)
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_NUMBER = re.compile(rb"[0-9]{1,15}[ \t]*")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)
_COOKIE = re.compile(rb"\r\ncookie:([^\r\n]*)", re.IGNORECASE)
_LANGUAGE = re.compile(rb"\r\naccept-language:([^\r\n]*)", re.IGNORECASE)
_PATH = re.compile(rb"[A-Z]+ ([^ ?\r\n]*)")
_FORWARDED = re.compile(rb"\r\nx-forwarded-for:([^\r\n]*)", re.IGNORECASE)


class Verdict(Enum):
    """What becomes of a request: wait, give it to a thread, or refuse it with this status."""

    WAIT = 0
    READY = 200
    BAD_LENGTH = 400
    TOO_SLOW = 408
    NO_LENGTH = 411
    LONG_ADDRESS = 414
    TOO_MANY = 429
    LONG_HEAD = 431


SENTENCES = {
    Verdict.BAD_LENGTH: ("Bad Request", "Content-Length must be one number of bytes."),
    Verdict.TOO_SLOW: ("Request Timeout", "The request arrived too slowly: send it again over a better line."),
    Verdict.NO_LENGTH: (
        "Length Required",
        "A request with a body needs a Content-Length here; chunked bodies are not taken.",
    ),
    Verdict.LONG_ADDRESS: ("URI Too Long", "The address is too long: 4,000 letters is the most."),
    Verdict.TOO_MANY: ("Too Many Requests", marked("Too much at once: wait ten seconds, then try again.")),
    Verdict.LONG_HEAD: ("Request Header Fields Too Large", "The headers are too long: send fewer cookies and headers."),
}


@dataclass
class Intake:
    """One request as it arrives; `started` and the times of its methods are monotonic seconds."""

    started: float
    data: bytearray = field(default_factory=bytearray)
    _head: int = 0  # length of the whole head, 0 until it is known
    _body: int = 0

    def add(self, data: bytes) -> Verdict:
        """Take the next bytes (none: only look)."""
        before = max(0, len(self.data) - 3)
        self.data += data
        if not self._head:
            return self._look_for_head(before)
        return self._look_for_body()

    def is_late(self, now: float) -> bool:
        """Whether the peer is slower than it may be."""
        if not self._head:
            return now - self.started > HEAD_S
        return is_slow(now - self.started, len(self.data) - self._head)

    @property
    def has_head(self) -> bool:
        """Whether the head is whole."""
        return bool(self._head)

    @property
    def wants_continue(self) -> bool:
        """Whether the peer waits for "100 Continue" before it sends a body that is to be collected here."""
        return bool(self._head) and len(self.data) == self._head and _EXPECT.search(self.data) is not None

    def client(self, peer: str, n_proxies: int) -> str:
        """The address to count by: the n-th of X-Forwarded-For from behind, where there are trusted proxies."""
        lines = _FORWARDED.findall(self.data, 0, self._head) if n_proxies else []
        named = [name.strip() for name in b",".join(lines).split(b",") if name.strip()]
        return named[-n_proxies].decode("latin-1") if n_proxies and len(named) >= n_proxies else peer

    @property
    def is_upload(self) -> bool:
        """Whether a thread reads the body as it arrives."""
        return self._body > SMALL_BODY

    @property
    def path(self) -> str:
        """The path that is asked for, as it is written in the head."""
        found = _PATH.match(self.data, 0, self._head)
        return found[1].decode("latin-1") if found else ""

    @property
    def cookies(self) -> str:
        """The Cookie header."""
        lines = _COOKIE.findall(self.data, 0, self._head)
        return "; ".join(line.strip().decode("latin-1") for line in lines)[:MAX_COOKIES]

    @property
    def language(self) -> str:
        """The language for the sentence of a refusal, by the Accept-Language header."""
        wanted = b",".join(_LANGUAGE.findall(self.data, 0, self._head)).decode("latin-1")
        return best_of(parse_accept_header(wanted[:MAX_LANGUAGES], LanguageAccept)) or ENGLISH

    def _look_for_head(self, start: int) -> Verdict:
        end = self.data.find(b"\r\n\r\n", start)
        if end >= 0:
            self._head = end + 4
            return self._measure()
        if self.data.count(b"\n") != self.data.count(b"\r\n"):
            return Verdict.READY  # line ends that gunicorn refuses at once
        if len(self.data) <= MAX_HEAD:
            return Verdict.WAIT
        return Verdict.LONG_HEAD if b"\r\n" in self.data else Verdict.LONG_ADDRESS

    def _measure(self) -> Verdict:
        lengths = _LENGTH.findall(self.data, 0, self._head)
        if _CHUNKED.search(self.data, 0, self._head):
            return Verdict.NO_LENGTH
        if len(lengths) > 1 or any(_NUMBER.fullmatch(length) is None for length in lengths):
            return Verdict.BAD_LENGTH
        self._body = int(lengths[0]) if lengths else 0
        return Verdict.READY if self.is_upload else self._look_for_body()

    def _look_for_body(self) -> Verdict:
        return Verdict.READY if len(self.data) >= self._head + self._body else Verdict.WAIT


def is_slow(age_s: float, n_bytes: int) -> bool:
    """Whether a body of which `n_bytes` have come in `age_s` seconds, and that is not whole, is too slow."""
    return age_s > GRACE_S and n_bytes < LEAST_RATE * (age_s - GRACE_S)


def refusal(verdict: Verdict, language: str = ENGLISH) -> bytes:
    """The whole answer to a refused request."""
    reason, sentence = SENTENCES[verdict]
    body = f"{gettext_in(sentence, language)}\n".encode()
    again = f"Retry-After: {AGAIN_S}\r\n" if verdict is Verdict.TOO_MANY else ""
    head = (
        f"HTTP/1.1 {verdict.value} {reason}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"{again}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
