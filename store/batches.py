"""Batched writes (chunking): a large change as many short transactions, between which other writers get their turn.

What it does: `in_batches` calls a step in one transaction after the other, and waits as long between two as the last
one took: also a writer in another process, which looks for the lock ten times a second, gets it. Large changes of one
process come one after the other. `take` cuts off as many rows as one transaction may write.
What it refuses to know: what is written, and what readers see until the last batch (chat_building.py).
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from sqlalchemy.orm import Session

from store.db import Database

Row = TypeVar("Row")

ROWS, BYTES = 1_000, 1 << 20
"""The most that one transaction of a large change writes: rows, and (but for one row) bytes of texts."""
_PAUSE_S = 0.005


def in_batches(db: Database, step: Callable[[Session], bool]) -> None:
    """Call `step` in a transaction of its own until it returns False: nothing is left to do."""
    with db.large_write:
        more = True
        while more:
            with db.session() as session:
                session.connection()  # begins the transaction: the wait for it is not counted
                began = time.monotonic()
                more = step(session)
            if more:
                time.sleep(max(_PAUSE_S, time.monotonic() - began))


def take(rows: Iterable[Row], n_bytes: Callable[[Row], int]) -> Iterator[Row]:
    """The first rows, as many as one transaction may write; of an iterator, the others stay in it."""
    taken = written = 0
    for row in rows:
        yield row
        taken, written = taken + 1, written + n_bytes(row)
        if taken >= ROWS or written >= BYTES:
            return


def is_whole(rows: list[Row], n_bytes: Callable[[Row], int]) -> bool:
    """Whether `take` ended because there were no more rows."""
    return len(rows) < ROWS and sum(map(n_bytes, rows)) < BYTES


def row_id(chat_id: str, ordinal: int, position: int = -1) -> str:
    """The id of a row that is written in bulk: ascending within its chat, so that the indexes grow in one place."""
    return f"{row_id_prefix(chat_id)}{ordinal:08x}{position + 1:08x}"


def row_id_prefix(chat_id: str) -> str:
    """What the ids of a chat's rows that were written in bulk begin with."""
    return chat_id[:16]
