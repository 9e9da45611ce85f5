"""Search: a person's messages that have all words of a query, the newest first.

What it does: the index gives candidates; SQL says which of them this person owns and may see, and their present text
says whether the words still stand there. So a stale entry of the index can hide something for a moment, and never show
anything.
What it refuses to know: pages. `Found.before` continues a search where it ended.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Row, bindparam, func, select
from sqlalchemy.orm import Session

from store.chats import list_chats
from store.db import Database
from store.messages import own_chat
from store.models import Alternative, Character, Chat, Message, User
from store.search import tables
from store.search.excerpts import Piece, excerpt
from store.search.index import place_of_chat, place_of_owner
from store.search.terms import MAX_LETTERS, MAX_PHRASES, QUOTATION_MARKS, Phrase, phrases_of, places_of, terms_of
from store.views import ChatView
from store.visibility import allowed_ratings

PAGE = 30
_ROUNDS, _CANDIDATES = 8, 60
_NEWEST = 1 << 62


@dataclass(frozen=True)
class Hit:
    """A message with the words, and the story that it stands in."""

    number: int
    message_id: str
    chat_id: str
    ordinal: int
    role: str
    name: str
    created_at: float
    title: str
    character_name: str
    avatar: str
    excerpt: tuple[Piece, ...]


@dataclass(frozen=True)
class Found:
    """Some hits. `before`: what to ask for next; None: nothing is left. `asked`: whether the query has any word."""

    hits: tuple[Hit, ...]
    before: int | None
    asked: bool = True


def find(
    db: Database, owner_id: str, query: str, chat_id: str | None = None, before: int | None = None, most: int = PAGE
) -> Found:
    """The newest messages of this person with all words of `query`; only those of one chat if it is given.

    Raises NotFound for a chat that is not theirs, Refused "not_for_you" for one above their age.
    """
    phrases = phrases_of(query)
    with db.reading() as session:
        if chat_id is not None:
            own_chat(session, owner_id, chat_id, lock=False)
        role = session.scalar(select(User.role).where(User.id == owner_id))
        if not phrases or role is None:
            return Found((), None, asked=bool(phrases))
        place = place_of_chat(chat_id) if chat_id else place_of_owner(owner_id)
        seek = _Seek(session, owner_id, allowed_ratings(role), tables.query_text(session, place, phrases))
        return _collect(seek, phrases, before or _NEWEST, most)


def titles(db: Database, owner_id: str, query: str, most: int = 6) -> tuple[ChatView, ...]:
    """The stories whose title, character or own name has all words of `query`, the one used last first."""
    words = [word for part in query.split()[:MAX_PHRASES] if (word := _plain(part).strip(QUOTATION_MARKS))]

    def fits(chat: ChatView) -> bool:
        named = _plain(f"{chat.title} {chat.character_name} {chat.user_name}")
        return all(word in named for word in words)

    found = (chat for chat in list_chats(db, owner_id) if fits(chat)) if words else iter(())
    return tuple(islice(found, most))


def _plain(text: str) -> str:
    """A text without differences of case and width."""
    return unicodedata.normalize("NFKC", text).casefold()


def _collect(seek: "_Seek", phrases: tuple[Phrase, ...], before: int, most: int) -> Found:
    hits: list[Hit] = []
    for _ in range(_ROUNDS):
        numbers = seek.numbers(before)
        rows = {row.number: row for row in seek.rows(numbers)}
        for number in numbers:
            before = number
            hit = _hit(rows[number], phrases) if number in rows else None
            hits += [hit] if hit else []
            if len(hits) == most:
                return Found(tuple(hits), before)
        if len(numbers) < _CANDIDATES:
            return Found(tuple(hits), None)
    return Found(tuple(hits), before)


class _Seek:
    """The two questions of one search: which numbers have the words, and which rows of those may be seen."""

    def __init__(self, session: Session, owner_id: str, ratings: tuple[str, ...], query: str) -> None:
        self._session, self._owner_id, self._ratings, self._query = session, owner_id, ratings, query

    def numbers(self, before: int) -> list[int]:
        """The newest numbers below `before`, newest first."""
        asked = {"query": self._query, "before": before, "most": _CANDIDATES}
        return list(self._session.execute(tables.candidates(self._session), asked).scalars())

    def rows(self, numbers: list[int]) -> Iterator[Row[tuple[object, ...]]]:
        """The messages under these numbers that this person owns, that are not deleted, of stories for their age."""
        entries = tables.ENTRIES
        wanted = select(
            entries.c.id.label("number"),
            Message.id,
            Message.chat_id,
            Message.ordinal,
            Message.role,
            Message.name,
            Message.created_at,
            func.substr(Alternative.text, 1, MAX_LETTERS).label("text"),
            Chat.title,
            Character.name.label("character_name"),
            Character.avatar,
        )
        wanted = wanted.join_from(entries, Message, Message.id == entries.c.message_id)
        shown = (Alternative.message_id == Message.id) & (Alternative.position == Message.active)
        wanted = wanted.join(Alternative, shown).join(Chat, Chat.id == Message.chat_id)
        wanted = wanted.join(Character, Character.id == Chat.character_id)
        wanted = wanted.where(Chat.owner_id == self._owner_id, Chat.deleted_at.is_(None), Message.deleted_at.is_(None))
        wanted = wanted.where(Character.rating.in_(self._ratings))
        among = entries.c.id.in_(bindparam("numbers", expanding=True))
        yield from self._session.execute(wanted.where(among), {"numbers": numbers})


def _hit(row: Row[tuple[object, ...]], phrases: tuple[Phrase, ...]) -> Hit | None:
    places = places_of(phrases, list(terms_of(row.text)))
    if places is None:
        return None
    fields = row._asdict()
    text = fields.pop("text")
    return Hit(message_id=fields.pop("id"), excerpt=excerpt(text, places), **fields)
