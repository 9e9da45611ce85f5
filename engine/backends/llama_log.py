"""llama.cpp's own log lines, forwarded to `logging`; its newest complaints are kept, for sentences that say why.

So is what it says of the layers that it has put on a card: it has no function that tells.
What it refuses to know: what llama.cpp was doing. To recognize another complaint about memory: `_ABOUT_MEMORY`.
"""

from __future__ import annotations

import ctypes
import logging
import re
from collections import deque

import llama_cpp as llama

log = logging.getLogger("engine.backends.llama")
_LEVELS = {2: logging.DEBUG, 3: logging.WARNING, 4: logging.ERROR}
_ABOUT_MEMORY = re.compile(
    r"out of memory|bad_alloc|outof(device|host)memory|(failed|unable) to allocate|allocation of size \d+ failed",
    re.IGNORECASE,
)
_AFTER_A_STOP = re.compile(r"(failed with error 1|compute status: 1|ret = 2|removing memory module entries .*)$")
_OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_complaints: deque[str] = deque(maxlen=8)
_offloaded: list[tuple[int, int]] = []


def install() -> None:
    """Let llama.cpp write to `logging` from now on."""
    llama.llama_log_set(_forward, ctypes.c_void_p(0))


def forget_complaints() -> None:
    """To be called before something that may fail."""
    _complaints.clear()


def take_offloaded() -> tuple[int, int] | None:
    """Layers on the card, and in all, of the model that was loaded last; None where there is no card."""
    return _offloaded.pop() if _offloaded else None


def memory_complaint() -> str:
    """The newest complaint about memory; empty where there is none."""
    return next((text for text in reversed(_complaints) if _ABOUT_MEMORY.search(text)), "")


def last_complaint() -> str:
    """The newest complaint; empty where there is none."""
    return _complaints[-1] if _complaints else ""


def note(level: int, line: str) -> None:
    """Log a line of llama.cpp, and keep it if it is a complaint. That a decode was stopped, as we wished, is none."""
    if _AFTER_A_STOP.search(line):
        level = logging.DEBUG
    if level >= logging.WARNING:
        _complaints.append(line)
    elif offloaded := _OFFLOADED.search(line):
        _offloaded[:] = [(int(offloaded[1]), int(offloaded[2]))]
    log.log(level, "%s", line)


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _forward(level: int, text: bytes, _user_data: object) -> None:
    note(_LEVELS.get(level, logging.DEBUG), text.decode(errors="replace").rstrip())
