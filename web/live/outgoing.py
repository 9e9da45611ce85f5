"""What a tab is told, as the frame that goes over its line. A live message is put into words once for all tabs.

What it does: adds the HTML, says it in the language of who reads it, packs it; a `Live` message keeps what was made of
it, and what was read on account of it.
What it refuses to know: who watches which chat (hub.py), and what a tab already has (event_cursor.py).
"""

import json
import struct
import threading
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar, cast

from web import serializers
from web.i18n.language import say_all

TEXT = 0x81  # a whole text message in one frame
Payload = Mapping[str, Any]
T = TypeVar("T")


class LiveMessage(dict[str, Any]):
    """A message for every tab of a chat, or of the house. Do not change it: its frames are made once for each language.

    Five hundred tabs would otherwise render the same Markdown and write the same JSON five hundred times, and all tabs
    of a chat would read the same rows at the same moment.
    """

    def __init__(self, payload: Payload, as_it_came: bytes = b"") -> None:
        """`as_it_came`: its JSON, if there is one already."""
        super().__init__(payload)
        self._as_it_came = as_it_came if payload.get("type") == "text" else b""
        self._frames: dict[str, bytes] = {}
        self._answers: dict[Hashable, object] = {}
        self._making, self._reading = threading.Lock(), threading.Lock()

    def once(self, what: Hashable, read: Callable[[], T]) -> T:
        """What `read()` says, asked by the first tab that wants to know `what` on account of this message."""
        with self._reading:
            if what not in self._answers:
                self._answers[what] = read()
            return cast(T, self._answers[what])

    def frame(self, language: str) -> bytes:
        """Its frame for who reads this language."""
        with self._making:
            made = self._frames.get(language)
            if made is None:
                made = self._frames[language] = self._made(language)
            return made

    def _made(self, language: str) -> bytes:
        if self._as_it_came:  # words of a story, one by one: nothing of ours is in them
            return _framed(self._as_it_came)
        return _pack(say_all(serializers.decorate(self), language))


def frame_of(payload: Payload, language: str) -> bytes:
    """The frame of anything that a tab is told."""
    return payload.frame(language) if isinstance(payload, LiveMessage) else _pack(say_all(payload, language))


def _pack(payload: Payload) -> bytes:
    return _framed(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode())


def _framed(data: bytes) -> bytes:
    n = len(data)
    if n < 126:
        head = bytes((TEXT, n))
    elif n < 1 << 16:
        head = struct.pack("!BBH", TEXT, 126, n)
    else:
        head = struct.pack("!BBQ", TEXT, 127, n)
    return head + data
