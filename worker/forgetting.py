"""Forgetting: the engine's memory of stories that are deleted is removed, from cells, RAM and disk.

What it does: once a minute compares the sessions that the engine keeps something of with the chats in SQL. That is the
truth, so it also works after a time without Redis, and for a worker that was away when a story was deleted.
What it refuses to know: blocks and manifests (engine/kv/forgetting.py).
"""

import logging
import re

from engine import Engine
from store import chats
from store.db import Database

log = logging.getLogger(__name__)

FORGET_EVERY_S = 60.0
_CHAT_ID = re.compile(r"[0-9a-f]{32}")  # other sessions are the worker's own


def forget_deleted(db: Database, engine: Engine) -> frozenset[str]:
    """Remove what the engine keeps of chats that nobody has any more; returns those. Raises EngineClosed."""
    gone = chats.missing(db, [name for name in engine.remembered() if _CHAT_ID.fullmatch(name)])
    if not gone:
        return frozenset()
    forgotten = engine.forget(gone)
    log.info("the engine has forgotten %d deleted chats", len(forgotten))
    return forgotten
