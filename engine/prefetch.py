"""Prefetch: blocks of a session that is about to wake come from disk on a thread of their own.

Reading and checking a hundred megabytes takes a tenth of a second; the engine's thread has others to serve meanwhile.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from engine.blocks import Block, BlockStore
from engine.session import Session
from engine.speeds import Speeds

Fetched = tuple[list[Block], float]


class Prefetch:
    """At most one fetch per session. `ready` calls back when one has come in."""

    def __init__(self, blocks: BlockStore, speeds: Speeds, ready: Callable[[], None]) -> None:
        self._blocks, self._speeds, self._ready = blocks, speeds, ready
        self._pool = ThreadPoolExecutor(1, "kv-prefetch")
        self._coming: dict[str, Future[Fetched]] = {}
        self._tried: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._coming)

    def complete(self, session: Session) -> bool:
        """Whether the session can be woken now; starts or awaits a fetch where that is not so."""
        coming = self._coming.get(session.name)
        if coming is not None:
            if coming.done():
                self._take(self._coming.pop(session.name))
                self._tried.add(session.name)
            return coming.done()
        keys = [held.key for held in session.held if not held.runs and self._blocks.tier(held.key) == "disk"]
        if session.name in self._tried or not keys or not self._speeds.restoring_pays("disk"):
            self._tried.discard(session.name)
            return True
        coming = self._coming[session.name] = self._pool.submit(self._fetch, keys)
        coming.add_done_callback(lambda _: self._ready())
        return False

    def _fetch(self, keys: list[bytes]) -> Fetched:
        started = time.monotonic()
        return self._blocks.fetch(keys), time.monotonic() - started

    def _take(self, coming: "Future[Fetched]") -> None:
        blocks, seconds = coming.result()
        self._blocks.keep(blocks)
        self._speeds.learn_restoring("disk", sum(block.n_tokens for block in blocks), seconds)

    def close(self) -> None:
        """Wait for what is under way."""
        self._pool.shutdown()
