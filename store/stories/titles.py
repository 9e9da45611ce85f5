"""Titles that a model gives to stories: which story waits for one, and what of a reply may become a title.

What it does: a story that nobody has named gets a title once it has begun; a title given by hand is never changed.
What it refuses to know: the model, and when it has time (worker/titles.py).
"""

import re
from collections.abc import Collection

from sqlalchemy import func, select, update

from store import texts
from store.chats import MAX_TITLE
from store.db import Database, rows_changed
from store.models import UNFINISHED, Chat, Message, Turn

MIN_MESSAGES, IDLE_S = 5, 5.0  # a greeting and two exchanges; nobody has just written
MAX_WORDS, MAX_LETTERS = 10, 60
_AT_ONCE = 64
_LABEL = re.compile(r"^\W*(?:the )?(?:title|story title|标题|题目|故事标题)\s*[::：]\s*", re.IGNORECASE)
_AROUND = " \t*_#`~\"'“”‘’„«»「」『』《》〈〉()（）.。,，;；:：-–—"


def next_untitled(db: Database, chat_ids: Collection[str], now: float) -> str | None:
    """The one of these chats that waits for a title and was used last; None if there is none."""
    some = sorted(chat_ids)[:_AT_ONCE]
    n_shown = select(func.count()).where(Message.chat_id == Chat.id, Message.deleted_at.is_(None)).scalar_subquery()
    busy = select(Turn.id).where(Turn.chat_id == Chat.id, Turn.state.in_(UNFINISHED)).exists()
    waiting = select(Chat.id).where(Chat.id.in_(some), Chat.title_from == "", Chat.deleted_at.is_(None))
    waiting = waiting.where(Chat.updated_at < now - IDLE_S, ~busy, n_shown >= MIN_MESSAGES)
    with db.reading() as session:
        return session.scalar(waiting.order_by(Chat.updated_at.desc()).limit(1))


def give_title(db: Database, chat_id: str, revision: int, title: str) -> bool:
    """Give the chat this title, unless it has moved on or has one by now; whether it was given.

    An empty title leaves the old one, and the chat waits no more: a model that failed once is not asked again.
    """
    values = {"title_from": "model", **({"title": title[:MAX_TITLE]} if title else {})}
    unnamed = Chat.id == chat_id, Chat.revision == revision, Chat.title_from == "", Chat.deleted_at.is_(None)
    with db.session() as session:
        return rows_changed(session, update(Chat).where(*unnamed).values(values)) > 0


def title_of(reply: str, forbidden: Collection[str] = ()) -> str:
    """The title in a model's reply; empty where there is none: no words, too many, or only a name."""
    line = next((one for one in texts.clean(reply).splitlines() if one.strip(_AROUND)), "")
    title = " ".join(_LABEL.sub("", line).strip(_AROUND).split())
    visible = all(letter.isprintable() for letter in title)
    too_long = len(title.split()) > MAX_WORDS or len(title) > MAX_LETTERS
    named = {name.casefold() for name in forbidden}
    return "" if len(title) < 2 or too_long or not visible or title.casefold() in named else title
