"""Outgoing frames as bytes: adds HTML, translates, encodes; a live message is encoded once per language for all tabs.

What it does: `encode_frame` makes the bytes of any frame to a tab; a `LiveMessage` caches its bytes, and what the tabs
read from SQL because of it.
What it refuses to know: which tab watches which chat (hub.py), and which events a tab already has (event_cursor.py).
"""

import json
import struct
import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from web import serializers
from web.i18n.language import translate_frame
from web.live.protocol.to_tab import Frame

TEXT = 0x81  # header byte of a whole text message in one frame
T = TypeVar("T")


class LiveMessage(dict[str, Any]):
    """A frame for many tabs, read-only: its bytes are cached for each language.

    Without the cache, five hundred tabs would render the same Markdown and write the same JSON five hundred times, and
    all tabs of a chat would read the same rows at the same moment.
    """

    def __init__(self, frame: Frame, raw_json: bytes = b"") -> None:
        """`raw_json`: the frame as it came from Redis, if it did."""
        super().__init__(frame)
        self._raw_json = raw_json if frame.get("type") == "text" else b""
        self._encoded: dict[str, bytes] = {}
        self._values: dict[Hashable, object] = {}
        self._encoding, self._reading = threading.Lock(), threading.Lock()

    def once(self, key: Hashable, read: Callable[[], T]) -> T:
        """The value of `read()`, called by the first tab that asks for `key` because of this message."""
        with self._reading:
            if key not in self._values:
                self._values[key] = read()
            return cast(T, self._values[key])

    def encoded(self, language: str) -> bytes:
        """Its bytes for tabs whose person reads this language."""
        with self._encoding:
            if language not in self._encoded:
                self._encoded[language] = self._encode(language)
            return self._encoded[language]

    def _encode(self, language: str) -> bytes:
        if self._raw_json:  # tokens of a reply: nothing in them is translated or rendered
            return _with_header(self._raw_json)
        return _encode(translate_frame(serializers.event_with_html(self), language))


def encode_frame(frame: Frame, language: str) -> bytes:
    """The bytes of a frame, its sentences in the language of the tab's person."""
    return frame.encoded(language) if isinstance(frame, LiveMessage) else _encode(translate_frame(frame, language))


def _encode(frame: Frame) -> bytes:
    return _with_header(json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode())


def _with_header(data: bytes) -> bytes:
    n = len(data)
    if n < 126:
        head = bytes((TEXT, n))
    elif n < 1 << 16:
        head = struct.pack("!BBH", TEXT, 126, n)
    else:
        head = struct.pack("!BBQ", TEXT, 127, n)
    return head + data
