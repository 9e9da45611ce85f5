"""Watches every write transaction of this process: what grows with input must be done before one opens.

A write transaction holds everybody else up, so parsing, resolving, matching, rendering, hashing and dumping belong
before it. While one is open, a profiler of this thread looks at the module of every call; a call into one of HEAVY is
noted, and the fixture `no_work_in_writes` (tests/store/conftest.py) fails the test that made it.
To guard another kind of work: the module that does it in HEAVY, or the function in HEAVY_CALLS.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

from sqlalchemy.orm import Session

from store.db import Database

HEAVY = (
    "store.macros.",
    "store.chat_macros.",
    "store.lore.book.",
    "store.lore.decorators.",
    "store.lore.edit.",
    "store.lore.match.",
    "store.lore.patterns.",
    "store.lore.report.",
    "store.cards.card_json.",
    "store.cards.charx.",
    "store.cards.files.",
    "store.cards.normalize.",
    "store.cards.png.",
    "store.cards.report.",
    "store.cards.webp.",
    "store.chat_files.",
    "store.bounded_json.",
    "store.search.terms.",
    "markdown_it.",
    "argon2.",
    "PIL.",
    "regex.",
    "snowballstemmer.",
    "worker.prompt.",
    "engine.",
    "web.rendering.",
)
"""Modules and packages whose functions must not run while this thread writes."""
HEAVY_CALLS = {("store.cards.stored_card", "digest"), ("store.cards.stored_card", "is_same")}
NO_CALLS = ("<module>", "__del__")  # an import; the garbage collector, which comes when it likes
LIGHT_CALLS = {("store.chat_macros", "display_name")}
_write = Database.session


class WriteWatch:
    """The calls that were made while this process wrote, as `module.function`."""

    def __init__(self) -> None:
        self.found: list[str] = []

    @property
    def session_of(self) -> Callable[..., AbstractContextManager[Session]]:
        """Stands in for `Database.session`."""
        return lambda *arguments, **options: self._session(_write(*arguments, **options))

    @contextmanager
    def _session(self, transaction: AbstractContextManager[Session]) -> Iterator[Session]:
        with transaction as session:
            before = sys.getprofile()
            sys.setprofile(self._look)
            try:
                yield session
            finally:
                sys.setprofile(before)

    def _look(self, frame: FrameType, event: str, _arg: Any) -> None:
        if event != "call":
            return
        module, name = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        heavy = f"{module}.".startswith(HEAVY) or (module, name) in HEAVY_CALLS
        if heavy and name not in NO_CALLS and (module, name) not in LIGHT_CALLS:
            self.found.append(f"{module}.{name}")
