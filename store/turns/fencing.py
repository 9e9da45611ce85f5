"""Fencing: a late worker, whose turn has another attempt by now, changes nothing.

The attempt number of a turn is the fencing token: `lifecycle.claim` raises it, and every statement of a worker that
changes the turn has these conditions. No row changed means that the attempt no longer owns it: Stale.
"""

from sqlalchemy import ColumnElement

from store.models import RUNNING, Turn


def fenced(turn_id: str, attempt: int) -> tuple[ColumnElement[bool], ...]:
    """The fence: SQL conditions under which `attempt` may still change its turn."""
    return Turn.id == turn_id, Turn.attempt == attempt, Turn.state.in_(RUNNING)
