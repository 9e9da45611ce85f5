"""Recall: passages of a chat's forgotten messages and notes that answer its last messages (BM25 over the search index).

What it does: the index gives the postings of each term in this chat (the newest, where there are many); the messages
with the rarest terms are read as they are shown now, and the best passages above a threshold are returned, the newest
first. What was recalled before is read again by its place and a hash of its text, so that it is the same passage or
none. Nothing is written.
What it refuses to know: tokens, and where a passage stands in a prompt (worker/prompt/recall.py).
"""

import hashlib
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import and_, bindparam, func, select
from sqlalchemy.orm import Session

from store.db import Database
from store.memory import notes
from store.memory.passages import ANSWER, LETTERS, Cut, best_cut, cleaned
from store.memory.questions import answer_kinds, asked_terms
from store.memory.tables import StoryNoteRow
from store.models import Alternative, Message
from store.search import tables
from store.search.index import place_of_chat
from store.search.terms import Phrase, terms_of
from store.views import KeptPassage, Passage

MOST = 3
THRESHOLD = 0.8
"""Of what one term counts that occurs once in the story: a passage with less is not recalled (bench/recall.py)."""
_NEAR_BEST = 0.5  # of the best score: a passage with less is not recalled beside it
_POSTINGS, _CANDIDATES = 300, 40
_COMMON = 0.12  # of the messages: a term that is in more of them counts for nothing
_RECENCY = 0.15  # of the score, from the oldest to the newest: what was corrected later wins
_LETTERS, _ALL_LETTERS = 20_000, 20_000  # read of one message, and of all together
_NEWEST = 1 << 62

_message, _alternative, _note = (model.__table__.c for model in (Message, Alternative, StoryNoteRow))
_entry = tables.ENTRIES.c
_SHOWN = (
    select(
        *(_message.id, _message.ordinal, _message.name, _message.role),
        func.substr(_alternative.text, 1, _LETTERS).label("text"),
    )
    .join(Alternative.__table__, and_(_alternative.message_id == _message.id, _alternative.position == _message.active))
    .where(_message.chat_id == bindparam("chat"), _message.ordinal < bindparam("before"))
    .where(_message.deleted_at.is_(None), _message.pinned.is_(False))
)
"""The shown texts of messages that are out of memory: before the window, not pinned, not deleted."""
_BY_ID = _SHOWN.where(_message.id.in_(bindparam("ids", expanding=True)))
_BY_NUMBER = (
    _SHOWN.add_columns(_entry.id.label("number"))
    .join(tables.ENTRIES, _entry.message_id == _message.id)
    .where(_entry.id.in_(bindparam("numbers", expanding=True)))
)
_INSIDE = (
    select(_entry.id)
    .join(Message.__table__, _message.id == _entry.message_id)
    .where(_message.chat_id == bindparam("chat"), _message.ordinal >= bindparam("before"))
    .order_by(_message.ordinal.desc())
    .limit(4 * _POSTINGS)
)
_NOTES = (
    select(_note.id, _note.last_ordinal, _note.text)
    .where(_note.chat_id == bindparam("chat"), _note.deleted_at.is_(None))
    .order_by(_note.first_ordinal)
    .limit(notes.MAX_NOTES)
)


@dataclass(frozen=True)
class _Text:
    """A text that may be recalled."""

    source: str
    ordinal: int
    name: str
    role: str
    text: str
    is_note: bool = False


def recall(
    db: Database,
    chat_id: str,
    asked: Sequence[str],
    before: int,
    told: Collection[str] = (),
    letters: int = LETTERS,
    most: int = MOST,
    threshold: float = THRESHOLD,
) -> tuple[Passage, ...]:
    """The passages of what lies before the ordinal `before` that answer `asked` (the last message, then the one before
    it), the newest first. `told`: ids of notes that stand in the prompt anyway; `letters`: the length of a passage."""
    weights = asked_terms(asked)
    if not weights or before <= 0:
        return ()
    with db.reading() as session:
        old_notes = [note for note in _notes(session, chat_id) if note.source not in told]
        postings = _postings(session, chat_id, before, list(weights))
        worth = _worth(weights, postings, old_notes, before)
        texts = _messages(session, chat_id, before, _candidates(postings, worth, threshold * idf(1, before) / ANSWER))
    texts += [note for note in old_notes if worth.keys() & _words(note.text)]
    found = _best(texts, worth, answer_kinds(asked[0]), before, letters, threshold)
    return tuple(sorted(_different(found, most), key=lambda passage: -passage.ordinal))


def recall_again(db: Database, chat_id: str, kept: Sequence[KeptPassage], before: int) -> tuple[Passage, ...]:
    """What was recalled before, in the same order, as far as it still stands there and is out of memory."""
    if not kept:
        return ()
    with db.reading() as session:
        ids = [one.source for one in kept if not one.is_note]
        texts = {
            row.id: _of_message(row) for row in session.execute(_BY_ID, {"chat": chat_id, "before": before, "ids": ids})
        }
        if any(one.is_note for one in kept):
            texts |= {note.source: note for note in _notes(session, chat_id)}
    again = (_passage(texts[one.source], one.start, one.end) for one in kept if one.source in texts)
    known = {(one.source, one.digest) for one in kept}
    return tuple(passage for passage in again if (passage.source, passage.digest) in known)


def _postings(session: Session, chat_id: str, before: int, words: Sequence[str]) -> dict[str, list[int]]:
    """The numbers of the messages with each word, the newest first, without those inside the window."""
    inside = _inside(session, chat_id, before)
    statement, found = tables.candidates(session), {}
    for word in words:
        query = tables.query_text(session, place_of_chat(chat_id), [Phrase((word,))])
        asked = {"query": query, "before": _NEWEST, "most": _POSTINGS + min(len(inside), _POSTINGS)}
        numbers = session.execute(statement, asked).scalars()
        found[word] = [number for number in numbers if number not in inside]
    return found


def _inside(session: Session, chat_id: str, before: int) -> set[int]:
    return set(session.execute(_INSIDE, {"chat": chat_id, "before": before}).scalars())


def _worth(
    weights: Mapping[str, float], postings: Mapping[str, list[int]], old_notes: Sequence[_Text], before: int
) -> dict[str, float]:
    """What each term counts: its weight, and its inverse document frequency in the forgotten part of this chat."""
    in_notes = [_words(note.text) for note in old_notes]
    worth = {}
    for word, weight in weights.items():
        n = max(len(postings[word]), sum(word in words for words in in_notes))
        if 0 < n <= max(2, _COMMON * before):
            worth[word] = weight * idf(n, before)
    return worth


def idf(n: int, of: int) -> float:
    """The inverse document frequency of BM25 (Robertson, Spärck Jones) of a term that is in `n` of `of` messages."""
    return math.log(1 + max(0.0, of - n + 0.5) / (n + 0.5))


def _candidates(postings: Mapping[str, list[int]], worth: Mapping[str, float], least: float) -> list[int]:
    """The numbers with the most of what was asked for, the best first; none that cannot count `least`."""
    scores: dict[int, float] = {}
    for word, value in worth.items():
        for number in postings[word]:
            scores[number] = scores.get(number, 0.0) + value
    able = [number for number, score in scores.items() if score >= least]
    return sorted(able, key=lambda number: (-scores[number], -number))[:_CANDIDATES]


def _messages(session: Session, chat_id: str, before: int, numbers: Sequence[int]) -> list[_Text]:
    """The messages under these numbers, in this order, as far as they may be recalled and there is time to read."""
    found = session.execute(_BY_NUMBER, {"chat": chat_id, "before": before, "numbers": numbers}) if numbers else ()
    rows = {row.number: row for row in found}
    return list(_as_many_as_read([_of_message(rows[number]) for number in numbers if number in rows]))


def _as_many_as_read(texts: Sequence[_Text]) -> Iterator[_Text]:
    room = _ALL_LETTERS
    for text in texts:
        if room > 0:
            yield text
        room -= len(text.text)


def _best(
    texts: Sequence[_Text],
    worth: Mapping[str, float],
    kinds: Sequence[re.Pattern[str]],
    before: int,
    letters: int,
    threshold: float,
) -> list[Passage]:
    """The best passage of each text, those above the threshold, the best first."""
    found: list[tuple[float, _Text, Cut]] = []
    for text in texts:
        cut = best_cut(text.text, worth, letters, kinds)
        if cut is not None:
            newer = 1 + _RECENCY * text.ordinal / before
            found.append((cut.score * newer, text, cut))
    found = [one for one in found if one[2].covered >= threshold * idf(1, before)]
    found.sort(key=lambda one: (-one[0], -one[1].ordinal))
    near = [one for one in found if one[0] >= _NEAR_BEST * found[0][0]]
    return [replace(_passage(text, cut.start, cut.end), score=score) for score, text, cut in near]


def _different(passages: Sequence[Passage], most: int) -> list[Passage]:
    """The first `most` of these that do not say the same."""
    chosen: list[Passage] = []
    for passage in passages:
        if len(chosen) < most and not any(_is_same(passage, other) for other in chosen):
            chosen.append(passage)
    return chosen


def _is_same(one: Passage, other: Passage) -> bool:
    """Whether two passages say the same words (three quarters of them)."""
    first, second = _words(one.text), _words(other.text)
    return len(first & second) > 0.75 * len(first | second)


def _passage(text: _Text, start: int, end: int) -> Passage:
    raw = text.text[start:end]
    digest = hashlib.blake2b(raw.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return Passage(
        source=text.source,
        ordinal=text.ordinal,
        name=text.name,
        role=text.role,
        text=cleaned(raw),
        start=start,
        end=end,
        digest=digest,
        is_note=text.is_note,
    )


def _of_message(row: Any) -> _Text:
    return _Text(row.id, row.ordinal, row.name, row.role, row.text)


def _notes(session: Session, chat_id: str) -> list[_Text]:
    rows = session.execute(_NOTES, {"chat": chat_id})
    return [_Text(row.id, row.last_ordinal, "", "note", row.text, is_note=True) for row in rows]


@lru_cache(1024)
def _words(text: str) -> frozenset[str]:
    return frozenset(term.word for term in terms_of(text))
