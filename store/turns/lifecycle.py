"""The state machine of a turn, with leases and fencing tokens; every step is one SQL transaction.

    begin_turn ---+----------------+
                  v  enqueue_next  v       claim
               waiting --------> queued --------> waking -> reading -> writing -> done | failed | cancelled
                  ^   unqueue_all  |  ^              |__________|_________|
                  |________________|  |__________________|
                                            give_back: the worker stops or died, the attempt number stays

A turn begins as queued when a worker is known, its owner has no other unfinished turn and the queue is not paused
(begin.py), else as waiting. `claim` also takes a waiting turn, and a running one whose lease has expired. While the
queue is paused (site_state.py), `claim` refuses and makes a queued turn wait again, as `unqueue_all` does.
`reading` and `writing` reach SQL only by `renew`, about once a second: a short turn goes from waking to its end.

What it does: every function is one transaction that either happens or does not, wherever a process is killed.
- The id comes from the browser and is the idempotency key: sending twice makes one turn. One unfinished turn per chat
  is a unique index of the database.
- `claim` raises the attempt number, the fencing token. A worker shows the number that it got with every change: one
  UPDATE WHERE attempt = ? AND state IN (...); if that finds no row the caller is Stale: frozen, doubled or too late.
- The reply and the end of its turn are written together.
What it refuses to know: Redis. Callers bring the turn to a queue (broker/queue.py) and tell the browsers
(broker/events.py). How a turn begins is in begin.py, how it ends in end.py.
To add a state: models.py (RUNNING or UNFINISHED, a migration of the check constraint), the picture above, events.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select, update
from sqlalchemy.orm import Session

from store import site_state
from store.db import Database, changed_row, rows_changed
from store.errors import NotFound, Refused, Stale
from store.messages import clock
from store.models import HAS_ENDED, IN_QUEUE, RUNNING, UNFINISHED, Turn, User
from store.turns.end import cancel_unclaimed
from store.turns.fencing import fenced
from store.views import TurnView, turn_view


@dataclass(frozen=True)
class Claim:
    """The right to work on a turn: `attempt` is the fencing token of every change."""

    turn: TurnView
    attempt: int


@dataclass(frozen=True)
class Progress:
    """How far an attempt is: waking, reading or writing, and the text so far. An empty field changes nothing."""

    attempt: int
    state: str = ""
    text: str = ""

    def values(self) -> dict[str, str]:
        """The columns that it changes."""
        return {name: value for name, value in (("state", self.state), ("partial", self.text)) if value}


def claim(db: Database, turn_id: str, worker: str, lease_s: float, now: float | None = None) -> Claim:
    """Take a turn to work on it, until `lease_s` from now unless renewed.

    Raises NotFound, Refused "not_claimable" when it has ended, is to be cancelled, or another lease is valid,
    "paused" while the queue is: then it waits again.
    """
    now = clock(now)
    free = or_(
        Turn.state.in_(("waiting", "queued")),
        and_(Turn.state.in_(RUNNING), Turn.lease_until <= now, Turn.cancel_requested.is_(False)),
    )
    with db.session() as session:
        values: dict[str, Any] = {
            "state": "waking",
            "attempt": Turn.attempt + 1,
            "crashes": Turn.crashes + case((Turn.state.in_(RUNNING), 1), else_=0),
            "worker": worker,
            "lease_until": now + lease_s,
            "started_at": func.coalesce(Turn.started_at, now),
            "queued_at": func.coalesce(Turn.queued_at, now),
            "updated_at": now,
        }
        taking = update(Turn).where(Turn.id == turn_id, free, site_state.not_paused())
        turn = changed_row(session, taking.values(values).returning(Turn))
        if turn is not None:
            return Claim(turn_view(turn), turn.attempt)
        turn, paused = _get(session, turn_id), site_state.is_paused(session)
        if paused:
            _wait_again(turn, now)
    raise Refused("paused" if paused else "not_claimable")


def save_partial(db: Database, turn_id: str, attempt: int, text: str, now: float | None = None) -> None:
    """Keep the text so far, so that it survives the worker. Raises Stale."""
    _change(db, turn_id, attempt, {"partial": text, "updated_at": clock(now)})


def renew(
    db: Database, running: Mapping[str, Progress], lease_until: float, now: float | None = None
) -> Mapping[str, bool]:
    """Extend the leases of turns (by id) and keep how far they are, all in one transaction.

    Returns those that still belong to their attempt, and for each whether its owner asked for a stop. The others were
    taken over or ended: stop working on them.
    """
    stops: dict[str, bool] = {}
    with db.session() as session:
        for turn_id, progress in running.items():
            values = {"lease_until": lease_until, "updated_at": clock(now), **progress.values()}
            taking = update(Turn).where(*fenced(turn_id, progress.attempt)).values(values)
            stop = changed_row(session, taking.returning(Turn.cancel_requested))
            if stop is not None:
                stops[turn_id] = stop
    return stops


def give_back(
    db: Database,
    turn_id: str,
    attempt: int,
    now: float | None = None,
    *,
    crashed: bool = False,
    expired_at: float | None = None,
) -> TurnView:
    """The worker gives up its claim: the turn is queued again, or cancelled if its owner pressed stop. Raises Stale.

    The attempt number and the partial text stay. `crashed`: the attempt died, and may have been the reason.
    `expired_at`: only if its lease had run out by then, also if it is renewed between the caller's reading and this.
    """
    now = clock(now)
    state = case((Turn.cancel_requested, Turn.state), else_="queued")
    values = {"state": state, "lease_until": None, "updated_at": now, "crashes": Turn.crashes + int(crashed)}
    ran_out = () if expired_at is None else (Turn.lease_until <= expired_at,)
    with db.session() as session:
        if not rows_changed(session, update(Turn).where(*fenced(turn_id, attempt), *ran_out).values(values)):
            raise Stale(turn_id, attempt)
        turn = _get(session, turn_id)
        if turn.cancel_requested:
            cancel_unclaimed(session, turn, now)
        return turn_view(turn)


def request_cancel(db: Database, owner_id: str, turn_id: str, now: float | None = None) -> TurnView:
    """The owner pressed stop: a turn that no worker has ends at once, a running one is marked `cancel_requested`.

    A turn that has ended stays as it is. Raises NotFound, also when it belongs to another person.
    """
    with db.session() as session:
        turn = session.get(Turn, turn_id, with_for_update=True)
        if turn is None or turn.owner_id != owner_id:
            raise NotFound("turn")
        if turn.state in RUNNING:
            turn.cancel_requested = True
        elif turn.state in UNFINISHED:
            cancel_unclaimed(session, turn, clock(now))
        return turn_view(turn)


def enqueue_next(db: Database, owner_id: str, worker: str, now: float | None = None) -> TurnView | None:
    """Mark a person's oldest waiting turn as queued for `worker`, unless one of theirs is queued or running already.

    None also while the queue is paused.
    """
    now = clock(now)
    with db.session() as session:
        session.get(User, owner_id, with_for_update=True)
        if site_state.is_paused(session):
            return None
        if session.scalar(select(Turn.id).where(Turn.owner_id == owner_id, Turn.state.in_(IN_QUEUE)).limit(1)):
            return None
        turn = session.scalar(_waiting_of(owner_id))
        if turn is None:
            return None
        turn.state, turn.worker, turn.queued_at, turn.updated_at = "queued", worker, now, now
        return turn_view(turn)


def unqueue_all(db: Database, now: float | None = None) -> tuple[TurnView, ...]:
    """Every queued turn waits again (the queue is paused). Returns them as they were, in the order of the queue."""
    now = clock(now)
    with db.session() as session:
        queued = session.scalars(select(Turn).where(Turn.state == "queued").order_by(Turn.queued_at, Turn.id)).all()
        before = tuple(map(turn_view, queued))
        for turn in queued:
            _wait_again(turn, now)
        return before


def assign(db: Database, turn_id: str, worker: str, now: float | None = None) -> bool:
    """Write that a queued turn is in another worker's queue; False when it is not queued any more."""
    queued = update(Turn).where(Turn.id == turn_id, Turn.state == "queued")
    with db.session() as session:
        return rows_changed(session, queued.values(worker=worker, updated_at=clock(now))) == 1


def get_turn(db: Database, turn_id: str) -> TurnView:
    """One turn. Raises NotFound. The caller checks its owner."""
    with db.reading() as session:
        return turn_view(_get(session, turn_id))


def unfinished(
    db: Database, *, owner_id: str | None = None, chat_id: str | None = None, worker: str | None = None
) -> tuple[TurnView, ...]:
    """The unfinished turns in the order of the queue: all of them, or those of a person, a chat, a worker."""
    wanted = {Turn.owner_id: owner_id, Turn.chat_id: chat_id, Turn.worker: worker}
    conditions = [column == value for column, value in wanted.items() if value is not None]
    order = (func.coalesce(Turn.queued_at, Turn.created_at), Turn.created_at, Turn.id)
    return _read(db, Turn.state.in_(UNFINISHED), *conditions, order=order)


def newest_ended(db: Database, chat_id: str) -> TurnView | None:
    """The ended turn of the chat that was begun last."""
    newest_first = select(Turn).where(Turn.chat_id == chat_id, HAS_ENDED).order_by(Turn.created_at.desc(), Turn.id)
    with db.reading() as session:
        row = session.scalar(newest_first.limit(1))
        return turn_view(row) if row else None


def next_waiting(db: Database, owner_id: str) -> TurnView | None:
    """The turn of a person that may be queued now: their oldest, if none of theirs is queued or running.

    None while the queue is paused.
    """
    in_queue = select(Turn.id).where(Turn.owner_id == owner_id, Turn.state.in_(IN_QUEUE))
    with db.reading() as session:
        turn = session.scalar(_waiting_of(owner_id).where(~in_queue.exists(), site_state.not_paused()))
        return turn_view(turn) if turn else None


def owners_waiting(db: Database) -> tuple[str, ...]:
    """The people with a waiting turn and none queued or running, the longest wait first."""
    busy = select(Turn.owner_id).where(Turn.state.in_(IN_QUEUE))
    with db.reading() as session:
        rows = session.scalars(
            select(Turn.owner_id)
            .where(Turn.state == "waiting", Turn.owner_id.not_in(busy))
            .group_by(Turn.owner_id)
            .order_by(func.min(Turn.created_at), Turn.owner_id)
        )
        return tuple(rows)


def expired_leases(db: Database, now: float | None = None) -> tuple[TurnView, ...]:
    """The running turns whose lease has expired: their worker is dead or hangs."""
    return _read(db, Turn.state.in_(RUNNING), Turn.lease_until <= clock(now), order=(Turn.queued_at, Turn.id))


def recently_ended(db: Database, since: float, until: float) -> tuple[str, ...]:
    """The ids of the turns that ended between two times, in the order of their ends."""
    with db.reading() as session:
        between = Turn.ended_at >= since, Turn.ended_at <= until
        return tuple(session.scalars(select(Turn.id).where(*between).order_by(Turn.ended_at, Turn.id)))


def _waiting_of(owner_id: str) -> Select[Turn]:
    waiting = select(Turn).where(Turn.owner_id == owner_id, Turn.state == "waiting")
    return waiting.order_by(Turn.created_at, Turn.id).limit(1)


def _wait_again(turn: Turn, now: float) -> None:
    if turn.state == "queued":
        turn.state, turn.worker, turn.updated_at = "waiting", None, now


def _get(session: Session, turn_id: str) -> Turn:
    turn = session.get(Turn, turn_id)
    if turn is None:
        raise NotFound("turn")
    return turn


def _change(db: Database, turn_id: str, attempt: int, values: dict[str, Any]) -> None:
    with db.session() as session:
        if not rows_changed(session, update(Turn).where(*fenced(turn_id, attempt)).values(values)):
            raise Stale(turn_id, attempt)


def _read(db: Database, *conditions: ColumnElement[bool], order: tuple[Any, ...]) -> tuple[TurnView, ...]:
    with db.reading() as session:
        return tuple(map(turn_view, session.scalars(select(Turn).where(*conditions).order_by(*order))))
