"""List of stories (read model): each with its last line, the number of its messages, and the story it branched off.

What it does: three queries for a whole list, however long the stories are: an index of the messages that are shown
counts them and finds the last one.
What it refuses to know: how a list looks, and what is in a story besides.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session, aliased

from store.chats import list_chats
from store.db import Database
from store.models import Alternative, Chat, Message
from store.views import ChatView

LINE, _TAIL = 160, 1_200
_IDS_PER_QUERY = 250
_MARKS = re.compile(r"[*_`#>|~]+")


@dataclass(frozen=True)
class Parent:
    """The story that another one branched off."""

    id: str
    title: str


@dataclass(frozen=True)
class ListedStory:
    """A story in a list. `last_line`: the last paragraph of what was said last, `last_name` who said it."""

    chat: ChatView
    n_messages: int
    last_name: str
    last_line: str
    parent: Parent | None


def list_stories(db: Database, owner_id: str, most: int | None = None) -> tuple[tuple[ListedStory, ...], int]:
    """A person's stories, the one used last first, `most` of them; and how many there are."""
    chats = list_chats(db, owner_id)
    shown = chats[:most]
    ids = [chat.id for chat in shown]
    with db.reading() as session:
        facts = {row.chat_id: row for some in _portions(ids) for row in _last_messages(session, some)}
        parents = {row[0]: Parent(row[1], row[2]) for some in _portions(ids) for row in _parents(session, some)}
    return tuple(_listed(chat, facts.get(chat.id), parents.get(chat.id)) for chat in shown), len(chats)


def _portions(ids: list[str]) -> list[list[str]]:
    return [ids[start : start + _IDS_PER_QUERY] for start in range(0, len(ids), _IDS_PER_QUERY)]


def _last_messages(session: Session, chat_ids: list[str]) -> Sequence[Row[str, int, str, str]]:
    """Chat, number of messages, and of the last one its name and the end of its text."""
    kept = Message.chat_id.in_(chat_ids), Message.deleted_at.is_(None)
    last = (
        select(Message.chat_id, func.count().label("n"), func.max(Message.ordinal).label("ordinal"))
        .where(*kept)
        .group_by(Message.chat_id)
        .subquery()
    )
    tail = func.substr(Alternative.text, func.length(Alternative.text) - _TAIL + 1).label("tail")
    wanted = select(last.c.chat_id, last.c.n, Message.name, tail)
    wanted = wanted.join_from(last, Message, (Message.chat_id == last.c.chat_id) & (Message.ordinal == last.c.ordinal))
    shown = (Alternative.message_id == Message.id) & (Alternative.position == Message.active)
    return session.execute(wanted.join(Alternative, shown)).all()


def _parents(session: Session, chat_ids: list[str]) -> Sequence[Row[str, str, str]]:
    parent = aliased(Chat)
    there = (parent.id == Chat.parent_id) & (parent.owner_id == Chat.owner_id) & parent.deleted_at.is_(None)
    wanted = select(Chat.id, parent.id, parent.title).join_from(Chat, parent, there)
    return session.execute(wanted.where(Chat.id.in_(chat_ids))).all()


def _listed(chat: ChatView, row: Row[str, int, str, str] | None, parent: Parent | None) -> ListedStory:
    if row is None:
        return ListedStory(chat, 0, "", "", parent)
    _, n, name, tail = row
    return ListedStory(chat, n, name, last_line(tail), parent)


def last_line(text: str) -> str:
    """The last line with words in it, without the signs of Markdown; its beginning, where it is long."""
    lines = (" ".join(_MARKS.sub("", line).split()) for line in reversed(text.splitlines()))
    line = next((one for one in lines if one), "")
    return line if len(line) <= LINE else line[:LINE].rstrip() + "…"
