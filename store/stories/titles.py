"""Titles that a model gives to stories: which story waits for one, and what of a reply may become a title.

What it does: a story that nobody has named gets a title once it has begun; a title given by hand is never changed. A
small model says much that is none: what may become a title is one short line in the language of the story, with a
word of it.
What it refuses to know: the model, and when it has time (worker/titles.py).
"""

import re
from collections.abc import Collection, Iterator

from sqlalchemy import func, select, update

from store import texts
from store.chats import MAX_TITLE
from store.db import Database, rows_changed
from store.models import UNFINISHED, Chat, Message, Turn
from store.search.terms import terms_of
from store.views import Story

MIN_MESSAGES, IDLE_S = 5, 5.0  # a greeting and two exchanges; nobody has just written
MAX_WORDS, MAX_LETTERS, MAX_HAN = 10, 60, 18
_IDS_PER_QUERY = 250
_SHORTEST_WORD = 4  # letters; shorter ones stand in any text
_LABEL = re.compile(r"^\W*(?:the )?(?:title|story title|标题|题目|故事标题)\s*[::：]\s*", re.IGNORECASE)
_AROUND = " \t*_#`~\"'“”‘’„«»「」『』《》〈〉()（）.。,，;；:：-–—"
_HAN = re.compile(r"[\u3400-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")
_TWO_SENTENCES = re.compile(r"\w{4,}\.\s|[!?。！？].")
_NO_TITLES = frozenset(
    (
        "the end",
        "untitled",
        "title",
        "the title",
        "story",
        "a story",
        "the story",
        "标题",
        "故事",
        "无题",
        "完",
        "未完待续",
    )
)


def next_untitled(db: Database, chat_ids: Collection[str], now: float) -> str | None:
    """The one of these chats that waits for a title and was used last; None if there is none."""
    ids = sorted(chat_ids)
    n_shown = select(func.count()).where(Message.chat_id == Chat.id, Message.deleted_at.is_(None)).scalar_subquery()
    busy = select(Turn.id).where(Turn.chat_id == Chat.id, Turn.state.in_(UNFINISHED)).exists()
    waiting = select(Chat.updated_at, Chat.id).where(Chat.title_from == "", Chat.deleted_at.is_(None))
    waiting = waiting.where(Chat.updated_at < now - IDLE_S, ~busy, n_shown >= MIN_MESSAGES)
    newest = waiting.order_by(Chat.updated_at.desc()).limit(1)
    with db.reading() as session:
        portions = (ids[start : start + _IDS_PER_QUERY] for start in range(0, len(ids), _IDS_PER_QUERY))
        rows = [row for some in portions for row in session.execute(newest.where(Chat.id.in_(some)))]
    return max(rows, key=lambda row: row.updated_at).id if rows else None


def give_title(db: Database, chat_id: str, revision: int, title: str) -> bool:
    """Give the chat this title, unless it has moved on or has one by now; whether it was given.

    An empty title leaves the old one, and the chat waits no more: a model that failed once is not asked again.
    """
    values = {"title_from": "model", **({"title": title[:MAX_TITLE]} if title else {})}
    unnamed = Chat.id == chat_id, Chat.revision == revision, Chat.title_from == "", Chat.deleted_at.is_(None)
    with db.session() as session:
        return rows_changed(session, update(Chat).where(*unnamed).values(values)) > 0


def language_of(told: str) -> str:
    """The language to ask in: "zh" where more than a third of the letters of a story are Chinese, else "en"."""
    return "zh" if 3 * len(_HAN.findall(told)) > len(_LETTER.findall(told)) > 0 else "en"


def text_of(story: Story) -> str:
    """What was said in a story, as far as the model has it, and who says it."""
    said = (f"{message.name}\n{message.text}" for message in story.messages)
    return "\n".join((story.character.name, story.chat.user_name, *said))


def title_of(reply: str, told: str, names: Collection[str] = ()) -> str:
    """The title in a model's reply about a story in which this was `told`; empty where there is none: no words or too
    many, more than one sentence, another language, nothing but one of the `names`, or not a word from the story."""
    line = next((one for one in texts.clean(reply).splitlines() if one.strip(_AROUND)), "")
    title = " ".join(_LABEL.sub("", line).strip(_AROUND).split())
    known = {name.casefold() for name in names} | _NO_TITLES
    if not _is_short_line(title) or title.casefold() in known or not _is_in_language_of(title, told):
        return ""
    return title if set(_words(title)) & set(_words(told)) else ""


def _is_short_line(title: str) -> bool:
    too_long = len(title.split()) > MAX_WORDS or len(title) > MAX_LETTERS or len(_HAN.findall(title)) > MAX_HAN
    visible = all(letter.isprintable() for letter in title)
    return len(title) > 1 and not too_long and visible and not _TWO_SENTENCES.search(title)


def _is_in_language_of(title: str, told: str) -> bool:
    if _HAN.search(title):
        return bool(_HAN.search(told))
    return language_of(told) != "zh"


def _words(text: str) -> Iterator[str]:
    """What says something: longer words by their stems, pairs of Chinese characters."""
    for term in terms_of(text):
        if len(term.word) >= (2 if _HAN.match(term.word) else _SHORTEST_WORD):
            yield term.word
