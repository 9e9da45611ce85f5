"""Forgetting (mark and sweep): what is kept of sessions is removed, and every block that no other session names.

What it does: `Forgetting` is a request of another thread to the engine's. Blocks are shared by what they say, so a
block of a forgotten session stays while a living one names it; a block that nobody names any more goes, whoever wrote
it. Files are listed before and deleted after the engine's part, on the thread that asks: the engine only looks at
memory. Losing a block by a race costs reading its text again.
What it refuses to know: why a session is forgotten.
"""

import threading
from dataclasses import dataclass, field

from engine.kv.cache import KvCache
from engine.kv.scratch import checkpoint_key, rest_key
from engine.kv.session import Session
from engine.kv.snapshots import snapshot_key


@dataclass(eq=False)
class Forgetting:
    """The sessions to forget, and the blocks that other sessions' manifests name. `done`: `forgotten` is set."""

    names: frozenset[str]
    named: frozenset[bytes]
    forgotten: frozenset[str] = frozenset()
    kept: frozenset[bytes] = frozenset()
    done: threading.Event = field(default_factory=threading.Event)


def ask(kv: KvCache, names: frozenset[str]) -> Forgetting:
    """The request; reads the manifests of all other sessions."""
    others = kv.manifests.names() - names
    return Forgetting(names, frozenset(held.key for name in others for held in kv.manifests.read(name)))


def forget_in_memory(kv: KvCache, request: Forgetting) -> None:
    """The engine's part: cells, sessions and blocks in RAM. A session that a turn works on stays for now."""
    sessions = kv.residents.sessions
    busy = {name for name in request.names if name in sessions and sessions[name].busy}
    request.forgotten = request.names - busy
    for name in request.forgotten & sessions.keys():
        _drop(kv, sessions.pop(name))
    held = {held.key for session in sessions.values() for held in session.held}
    keys = request.named | held
    short = {key for session in sessions.values() for key in session.short_checkpoints}
    request.kept = keys | short | {of(key) for key in keys for of in (snapshot_key, rest_key, checkpoint_key)}
    kv.blocks.keep_only(request.kept)
    kv.logits.clear()
    request.done.set()


def forget_on_disk(kv: KvCache, request: Forgetting, files: tuple[str, ...]) -> int:
    """The rest: manifests, and the files among `files` that nobody names; returns how many blocks went."""
    for name in request.forgotten:
        kv.manifests.delete(name)
    return kv.blocks.delete_files(files, but=request.kept)


def _drop(kv: KvCache, session: Session) -> None:
    kv.blocks.unstage(session.name)
    if session.sequence is not None:
        kv.cells.release(session)
