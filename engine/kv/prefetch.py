"""Prefetch: what a turn needs from disk comes on a thread of its own, before the turn begins.

First the manifest of a session that this process does not know yet, then the blocks that are worth policy. The
engine's thread reads neither, so a slow disk holds up nobody but the one who needs it.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from engine.blocks.store import BlockStore
from engine.kv.manifests import Manifests
from engine.kv.restore_policy import RestorePolicy
from engine.kv.session import Session
from engine.ticket import Ticket

Take = Callable[[], None]
"""What the engine's thread does with something that has come in."""


class Prefetch:
    """At most one fetch per session, and `at_most` in all. `ready` calls back when one has come in."""

    def __init__(
        self, blocks: BlockStore, manifests: Manifests, policy: RestorePolicy, ready: Callable[[], None], at_most: int
    ) -> None:
        self._blocks, self._manifests, self._policy = blocks, manifests, policy
        self._ready, self._at_most = ready, at_most
        self._pool = ThreadPoolExecutor(1, "kv-prefetch")
        self._coming: dict[str, Future[Take]] = {}

    def __bool__(self) -> bool:
        return bool(self._coming)

    def complete(self, session: Session, ticket: Ticket) -> bool:
        """Whether the turn can begin; starts or awaits a fetch where that is not so."""
        coming = self._coming.get(session.name)
        if coming is not None:
            if not coming.done():
                return False
            self._coming.pop(session.name).result()()
        job = self._job(session, ticket)
        if job is not None and len(self._coming) < self._at_most:
            coming = self._coming[session.name] = self._pool.submit(job)
            coming.add_done_callback(lambda _: self._ready())
        return job is None

    def drop(self, name: str) -> None:
        """The turn has begun, or never will: what was held for it is a block in RAM like any other."""
        self._coming.pop(name, None)
        self._blocks.unstage(name)

    def _job(self, session: Session, ticket: Ticket) -> Callable[[], Take] | None:
        if session.unread:
            return lambda: self._read(session)
        keys = self._policy.worth(session, ticket.request) if ticket.request.use_blocks else []
        on_disk = [key for key in keys if self._blocks.tier(key) == "disk"]
        if not on_disk:
            return None
        ticket.waking()
        self._blocks.hold(session.name, [key for key in keys if key not in on_disk])
        return lambda: self._fetch(session, on_disk)

    def _read(self, session: Session) -> Take:
        held = self._manifests.read(session.name)

        def take() -> None:
            session.held, session.unread = held, False

        return take

    def _fetch(self, session: Session, keys: list[bytes]) -> Take:
        started = time.monotonic()
        fetched = self._blocks.fetch(keys)
        seconds = time.monotonic() - started

        def take() -> None:
            self._blocks.stage(session.name, fetched)
            n_tokens = sum(block.n_tokens for block in fetched.blocks)
            self._policy.cost_model.learn_restoring("disk", len(fetched.blocks), n_tokens, seconds)

        return take

    def close(self) -> None:
        """Wait for what is under way."""
        self._pool.shutdown()
