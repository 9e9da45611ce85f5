"""Quotas: how much one person may keep: stories, messages, bytes. Checked where something is created.

What it does: `users.stored_messages` and `stored_bytes` are counters that every write of messages moves in its own
transaction, so a check costs the same after years; stories are counted in a partial index, pictures by the lengths of
a person's few. Deleted stories count until removal.py has removed them. A reply that is written is never refused.
What it refuses to know: where the limits come from (settings.py), and what an admin sees of it (usage.py).
To add something that counts: `add` where it is written, and where removal.py removes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, Text, cast, func, select, update
from sqlalchemy.orm import Session

from store.errors import Refused
from store.models import Alternative, Character, Chat, LorebookRow, Persona, Picture, PresetRow, User

MAX_CHARACTERS = MAX_BOOKS = MAX_PERSONAS = 400
MAX_PRESETS = 60
MOST = {Character: MAX_CHARACTERS, LorebookRow: MAX_BOOKS, Persona: MAX_PERSONAS, PresetRow: MAX_PRESETS}
_REASONS = {
    Character: "too_many_characters",
    LorebookRow: "quota.books",
    Persona: "quota.personas",
    PresetRow: "quota.presets",
}
Counted = type[Character | LorebookRow | Persona | PresetRow]


MAX_JSON_MB = 24  # of all characters of a person, and of all their lorebooks: pages and imports read them whole
_TOO_LARGE = {Character: "quota.characters_mb", LorebookRow: "quota.books_mb"}


@dataclass(frozen=True)
class Quota:
    """What one person may keep; 0: no limit."""

    stories: int = 2_000
    messages: int = 500_000
    megabytes: int = 2_000


GENEROUS = Quota()


def add(session: Session, owner_id: str, *, messages: int = 0, n_bytes: int = 0, quota: Quota | None = None) -> None:
    """Count what the caller writes (or removes) in this transaction. With a quota: raises Refused "quota"."""
    counting = update(User).where(User.id == owner_id)
    counting = counting.values(
        stored_messages=User.stored_messages + messages, stored_bytes=User.stored_bytes + n_bytes
    )
    session.execute(counting, execution_options={"synchronize_session": False})
    if quota is not None:
        refuse_if_over(session, owner_id, quota)


def refuse_if_over(
    session: Session, owner_id: str, quota: Quota, *, stories: int = 0, messages: int = 0, n_bytes: int = 0
) -> None:
    """Raises Refused "quota" unless so much more may be kept."""
    row = session.execute(select(User.stored_messages, User.stored_bytes).where(User.id == owner_id)).one_or_none()
    if row is None:
        return
    if quota.messages and row.stored_messages + messages > quota.messages:
        raise Refused("quota.messages", most=quota.messages)
    if quota.megabytes and row.stored_bytes + _picture_bytes(session, owner_id) + n_bytes > quota.megabytes << 20:
        raise Refused("quota.megabytes", most=quota.megabytes)
    if quota.stories and stories and _n_stories(session, owner_id) + stories > quota.stories:
        raise Refused("quota.stories", most=quota.stories)


def refuse_another(session: Session, owner_id: str, table: Counted) -> None:
    """Raises Refused where a person has as many characters, lorebooks, personas or presets as anybody may."""
    own = select(func.count()).select_from(table).where(table.owner_id == owner_id)
    if table is Character or table is LorebookRow:
        own = own.where(table.deleted_at.is_(None))
    if (session.scalar(own) or 0) >= MOST[table]:
        raise Refused(_REASONS[table], most=MOST[table])


def json_sizes(session: Session, owner_id: str, table: type[Character | LorebookRow]) -> Mapping[str, int]:
    """Bytes of JSON by the ids of a person's characters or lorebooks. It reads up to 24 MB: not while others wait to
    write, so before the transaction in which `refuse_larger` looks at them."""
    sizes = select(table.id, json_bytes(session, _json_of(table))).where(*_own_rows(owner_id, table))
    return {row[0]: row[1] for row in session.execute(sizes)}


def refuse_larger(
    session: Session,
    owner_id: str,
    table: type[Character | LorebookRow],
    n_bytes: int,
    known: Mapping[str, int],
    replaced_id: str | None = None,
) -> None:
    """Raises Refused where a person's characters or lorebooks would have more bytes of JSON together than anybody may.

    `n_bytes`: of the one that is saved, in place of `replaced_id` if that is there. `known`: the `json_sizes` of a
    moment ago; what has come since is measured here. What has only been changed since counts as it was.
    """
    others = set(session.scalars(select(table.id).where(*_own_rows(owner_id, table)))) - {replaced_id}
    new = others - known.keys()
    measured = select(func.sum(json_bytes(session, _json_of(table)))).where(table.id.in_(new))
    total = sum(known[one] for one in others - new) + ((session.scalar(measured) or 0) if new else 0)
    if total + n_bytes > MAX_JSON_MB << 20:
        raise Refused(_TOO_LARGE[table], most=MAX_JSON_MB)


def _json_of(table: type[Character | LorebookRow]) -> Any:
    return Character.card if table is Character else LorebookRow.data


def _own_rows(owner_id: str, table: type[Character | LorebookRow]) -> list[ColumnElement[bool]]:
    return [table.owner_id == owner_id, table.deleted_at.is_(None)]


def reply_bytes(text: str, tokens: tuple[int, ...] | None) -> int:
    """Bytes of a text and its tokens (int32) in the database."""
    return len(text.encode("utf-8", "surrogatepass")) + 4 * len(tokens or ())


def row_bytes(row: Alternative) -> int:
    """The same, of a row that was read."""
    return len(row.text.encode("utf-8", "surrogatepass")) + len(row.tokens or b"")


def alternative_bytes(session: Session) -> ColumnElement[int]:
    """The same, of a row in SQL."""
    return text_bytes(session, Alternative.text) + func.coalesce(func.length(Alternative.tokens), 0)


def text_bytes(session: Session, text: Any) -> ColumnElement[int]:
    """The bytes of a text in SQL."""
    if session.get_bind().dialect.name == "sqlite":
        return func.length(cast(text, LargeBinary))
    return func.octet_length(text)


def json_bytes(session: Session, column: Any) -> ColumnElement[int]:
    """The bytes of a JSON column in SQL; 0 for none."""
    return func.coalesce(text_bytes(session, cast(column, Text)), 0)


def _n_stories(session: Session, owner_id: str) -> int:
    return session.scalar(select(func.count()).where(Chat.owner_id == owner_id, Chat.deleted_at.is_(None))) or 0


def _picture_bytes(session: Session, owner_id: str) -> int:
    return session.scalar(select(func.sum(func.length(Picture.data))).where(Picture.owner_id == owner_id)) or 0
