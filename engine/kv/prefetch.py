"""Prefetch: what a turn needs from disk comes on a thread of its own (preload), before the turn begins.

First the manifest of a session that this process does not know yet, then the blocks of the turn's plan. The engine's
thread reads neither, so a slow disk delays the turn that needs it and no other.

What it refuses to know: which blocks are worth it (restore_policy.py).
To fetch something else: a `fetch_...` command that returns what the engine's thread does with it.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from engine.blocks.store import BlockStore
from engine.kv.cost_model import CostModel
from engine.kv.manifests import Manifests
from engine.kv.session import Session

Take = Callable[[], None]
"""What the engine's thread does with something that has come in."""


class Prefetch:
    """At most one fetch per session, and `at_most` in all; more are not started. `ready` is called for each result."""

    def __init__(
        self, blocks: BlockStore, manifests: Manifests, cost_model: CostModel, ready: Callable[[], None], at_most: int
    ) -> None:
        self._blocks, self._manifests, self._cost_model = blocks, manifests, cost_model
        self._ready, self._at_most = ready, at_most
        self._pool = ThreadPoolExecutor(1, "kv-prefetch")
        self._fetches: dict[str, Future[Take]] = {}

    def __bool__(self) -> bool:
        return bool(self._fetches)

    def is_fetching(self, name: str) -> bool:
        """Whether the disk is still being read for this session."""
        return name in self._fetches and not self._fetches[name].done()

    def take(self, name: str) -> None:
        """Take what has come in for this session, if anything has."""
        if name in self._fetches and not self.is_fetching(name):
            self._fetches.pop(name).result()()

    def fetch_manifest(self, session: Session) -> None:
        """Read what the session holds; it is `unread` until that is taken."""
        self._start(session.name, lambda: self._read_manifest(session))

    def on_disk(self, keys: Sequence[bytes]) -> list[bytes]:
        """Those of the blocks that would have to be fetched."""
        return [key for key in keys if self._blocks.tier(key) == "disk"]

    def fetch_blocks(self, name: str, keys: Sequence[bytes]) -> None:
        """Bring the blocks that are on disk into RAM, and hold those that are there already, until `drop`."""
        on_disk = self.on_disk(keys)
        self._blocks.hold(name, [key for key in keys if key not in on_disk])
        self._start(name, lambda: self._read_blocks(name, on_disk))

    def drop(self, name: str) -> None:
        """The turn has begun, or never will: what was held for it is a block in RAM like any other."""
        self._fetches.pop(name, None)
        self._blocks.unstage(name)

    def close(self) -> None:
        """Wait for what is under way."""
        self._pool.shutdown()

    def _start(self, name: str, job: Callable[[], Take]) -> None:
        if len(self._fetches) < self._at_most:
            fetch = self._fetches[name] = self._pool.submit(job)
            fetch.add_done_callback(lambda _: self._ready())

    def _read_manifest(self, session: Session) -> Take:
        held = self._manifests.read(session.name)

        def take() -> None:
            session.held, session.unread = held, False

        return take

    def _read_blocks(self, name: str, keys: list[bytes]) -> Take:
        started = time.monotonic()
        fetched = self._blocks.fetch(keys)
        seconds = time.monotonic() - started

        def take() -> None:
            self._blocks.stage(name, fetched)
            self._cost_model.learn_restoring("disk", sum(block.n_tokens for block in fetched.blocks), seconds)

        return take
