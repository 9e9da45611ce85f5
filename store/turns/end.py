"""How a turn ends: `commit`, `cancel` and `fail`, each one transaction behind the fencing token.

What it does: the end of the turn, everything that its parts wrote, the engine's window and the new revision are
written together, and only if the attempt still owns the turn.
`Turn.result` keeps what was written: `messages` (ids, in order) and `suggestion`; of a failed turn `error`.
What it refuses to know: live events (broker/events.py) and which turn is next (broker/queue.py).
To add something that a turn can leave behind: a field of Outcome, written in `_write`, a `Result` in kinds.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from store import messages, prompt_records, quotas
from store.db import Database, changed_row
from store.error_texts import english
from store.errors import Failure, NotFound, Stale
from store.messages import Reply, clock
from store.models import Chat, Message, Turn
from store.turns.fencing import fenced
from store.turns.kinds import KINDS, NARRATOR, Opening, Result
from store.views import EndView


@dataclass(frozen=True)
class Outcome:
    """What the parts of a turn wrote: replies in order, a draft of the user's next line, the newest status.

    `status` is kept with the chat's last message: {"fields": [{name, value, unit}], "turn", "tokens", "model_key"}.
    `spent`: seconds and tokens of all parts together (the names are those of the engine's TurnStats; usage.py adds up).
    """

    replies: tuple[Reply, ...] = ()
    suggestion: str | None = None
    status: dict[str, Any] | None = None
    spent: dict[str, float] = field(default_factory=dict)

    def without_blanks(self) -> Outcome:
        """The same without replies and suggestions that are only white space."""
        replies = tuple(reply for reply in self.replies if reply.text.strip())
        return replace(self, replies=replies, suggestion=(self.suggestion or "").strip() or None)


def commit(
    db: Database,
    turn_id: str,
    attempt: int,
    outcome: Outcome | Reply,
    window: dict[str, Any] | None = None,
    now: float | None = None,
) -> EndView:
    """The turn is done: write its outcome. A second call with the same attempt raises Stale.

    A retry of a message adds an alternative to it and makes that one active, a reply that grows replaces its beginning,
    everything else adds a message. `window` is kept with the chat when given. Raises Stale.
    """
    now = clock(now)
    with db.session() as session:
        turn = _end(session, turn_id, attempt, "done", now)
        return _write(session, turn, _outcome(outcome), window, now)


def cancel(
    db: Database,
    turn_id: str,
    attempt: int | None = None,
    outcome: Outcome | Reply | None = None,
    window: dict[str, Any] | None = None,
    now: float | None = None,
) -> EndView:
    """The turn was stopped: what was written so far stays, unless it is white space.

    `attempt` is None for a turn that no worker has. Raises Stale.
    """
    now = clock(now)
    with db.session() as session:
        if attempt is None:
            turn = session.get(Turn, turn_id, with_for_update=True)
            if turn is None or turn.state not in ("waiting", "queued"):
                raise Stale(turn_id, 0)
            turn.state, turn.ended_at, turn.updated_at, turn.lease_until = "cancelled", now, now, None
        else:
            turn = _end(session, turn_id, attempt, "cancelled", now)
        return _write(session, turn, _outcome(outcome), window, now)


def fail(db: Database, turn_id: str, attempt: int, failure: Failure, now: float | None = None) -> None:
    """The turn cannot be done. Raises Stale.

    `Turn.result` keeps the failure as `error`; the column `error_text` has its English sentence, for operators who read
    the table and for older versions of this program.
    """
    with db.session() as session:
        turn = _end(session, turn_id, attempt, "failed", clock(now))
        turn.error_code, turn.error_text = failure.code, english(failure.reason, failure.values)
        turn.result = {**turn.result, "error": {"reason": failure.reason, "values": dict(failure.values)}}


def result_of(db: Database, turn_id: str) -> EndView:
    """What an ended turn wrote, with the present revision of its chat. Raises NotFound (the turn)."""
    with db.reading() as session:
        turn = session.get(Turn, turn_id)
        if turn is None:
            raise NotFound("turn")
        return _end_view(session, turn)


def cancel_unclaimed(session: Session, turn: Turn, now: float) -> None:
    """End a turn that no worker has, in the caller's transaction: the partial text of a dead attempt stays."""
    turn.state, turn.ended_at, turn.updated_at, turn.lease_until = "cancelled", now, now, None
    _write(session, turn, _leftover(session, turn), None, now)


def _leftover(session: Session, turn: Turn) -> Outcome:
    """What the last attempt saved of the turn's first part."""
    kind = KINDS[turn.kind]
    if kind.result is Result.SUGGESTION:
        return Outcome(suggestion=turn.partial)
    if kind.result is Result.STATUS or not turn.partial.strip():
        return Outcome()
    reply = Reply(turn.params.get("begins", "") + turn.partial, finish="cancelled")
    message = session.get(Message, turn.reply_message_id) if turn.reply_message_id else None
    if kind.opening is Opening.CONTINUES and message is not None:
        before = messages.active_alternative(session, message)
        reply = replace(reply, text=before.text + turn.partial, stats=_grown(before.stats, turn.partial), grows=True)
    if kind.narrates:
        reply = replace(reply, role="narrator", name=NARRATOR)
    return Outcome((reply,))


def _grown(stats: dict[str, Any], text: str) -> dict[str, Any]:
    """What was kept with an alternative, when a text has grown behind it whose probabilities are lost."""
    if not stats.get("words"):
        return stats
    return {**stats, "words": [*stats["words"], {"text": text, "p": None, "top": []}]}


def _outcome(given: Outcome | Reply | None) -> Outcome:
    outcome = Outcome((given,)) if isinstance(given, Reply) else given or Outcome()
    return outcome.without_blanks()


def _end(session: Session, turn_id: str, attempt: int, state: str, now: float) -> Turn:
    ending = update(Turn).where(*fenced(turn_id, attempt))
    values = {"state": state, "ended_at": now, "updated_at": now, "lease_until": None}
    turn = changed_row(session, ending.values(values).returning(Turn))
    if turn is None:
        raise Stale(turn_id, attempt)
    return turn


def _write(session: Session, turn: Turn, outcome: Outcome, window: dict[str, Any] | None, now: float) -> EndView:
    outcome = outcome.without_blanks()
    chat = session.get_one(Chat, turn.chat_id, with_for_update=True)
    first = session.get(Message, turn.reply_message_id) if turn.reply_message_id else None
    about = [first, *(None for _ in outcome.replies[1:])]  # only a turn's first part is about an older message
    _count(session, chat, outcome.replies, first)
    written = [_write_reply(session, turn, chat, *pair, now) for pair in zip(outcome.replies, about, strict=False)]
    if outcome.status:
        described = messages.last_message(session, chat.id)
        if described is not None:
            messages.active_alternative(session, described).status = outcome.status
            written += [described] if described not in written else []
    turn.result = {"messages": [message.id for message in written], "suggestion": outcome.suggestion}
    turn.stats = outcome.spent or turn.stats
    if written or outcome.suggestion:
        turn.partial = ""
    if window is not None:
        chat.window = window
    if written:
        messages.raise_revision(chat, now)
        prompt_records.drop_old(session, chat.id, written)
    session.flush()
    return _end_view(session, turn)


def _count(session: Session, chat: Chat, replies: tuple[Reply, ...], first: Message | None) -> None:
    """Count what is written for its owner's quota; a finished reply is never refused."""
    if not replies:
        return
    n_bytes = sum(quotas.reply_bytes(reply.text, reply.tokens) for reply in replies)
    if first is not None and replies[0].grows:
        n_bytes -= quotas.row_bytes(messages.active_alternative(session, first))
    quotas.add(session, chat.owner_id, messages=len(replies) - (first is not None), n_bytes=n_bytes)


def _write_reply(
    session: Session, turn: Turn, chat: Chat, reply: Reply, message: Message | None, now: float
) -> Message:
    if message is not None and reply.grows:
        messages.grow_alternative(session, message, reply, turn.id)
        return message
    if message is None:
        name = reply.name or messages.name_of_character(session, chat)
        message = messages.add_message(session, chat, reply.role, name, turn.id, now)
        messages.add_alternative(session, message, reply, turn.id, now, position=0)
        turn.reply_message_id = turn.reply_message_id or message.id
        return message
    message.active = messages.add_alternative(session, message, reply, turn.id, now)
    return message


def _end_view(session: Session, turn: Turn) -> EndView:
    ids = turn.result.get("messages", [])
    rows = [session.get(Message, message_id) for message_id in ids]
    there = [row.id for row in rows if row is not None and row.deleted_at is None]
    written = tuple(messages.read_message(session, message_id) for message_id in there)
    revision = session.get_one(Chat, turn.chat_id).revision
    return EndView(revision, written, turn.result.get("suggestion"))
