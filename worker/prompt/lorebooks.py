"""The lorebooks of a chat: which there are, what their texts say in this chat, and their constant entries. Pure.

Constant entries are part of the persona, so they are the same in every turn: those with the highest priority that fit
into a quarter of the context.
What it refuses to know: messages, and what activates an entry (lore.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from store.lore.book import Lorebook, LoreEntry, read_book
from store.macros import MacroBudget, MacroContext, may_be_in
from store.views import Story
from worker.prompt.persona import Cast, ConstantTexts, macro_context, resolve
from worker.prompt.segments import Limits, PromptFraming

LORE_SHARE = 4  # lore may take one part of so many of the context
MAX_MEASURED = 8  # contents are tokenized until they are so many times as long as what there is room for
MAX_CONSTANT = 200  # constant entries that are explained
NO_ROOM = 1 << 30  # the length of a content that was not tokenized, because there is no room for it anyway
_KEY_BUDGET = (500, 100)  # letters and dice of one key
_TOKEN_LETTERS = 64  # more than any token has
CARD_BOOK_ID = "card"  # the id of the character's own book


@dataclass(frozen=True, slots=True)
class ChatLorebooks:
    """The lorebooks of a chat, by id; the cast and the card are what the macros of their texts need."""

    books: Mapping[str, Lorebook]
    cast: Cast
    card: Mapping[str, Any]
    macros: MacroContext = field(compare=False, repr=False)

    def text(self, content: str) -> str:
        """A content with its macros resolved."""
        return resolve(content, self.cast, self.card, context=self.macros).strip()

    def expand_macros(self, key: str) -> str:
        """A key with its macros resolved; they may insert a few words each."""
        if not may_be_in(key):
            return key
        return resolve(key, self.cast, self.card, context=replace(self.macros, budget=MacroBudget(*_KEY_BUDGET)))


def lorebooks_of(story: Story, cast: Cast) -> ChatLorebooks:
    """All lorebooks that a chat uses, its character's own first."""
    own = story.character.card.get("character_book")
    books = {CARD_BOOK_ID: replace(read_book(own), name=story.character.name)} if isinstance(own, Mapping) else {}
    books |= {book.id: replace(read_book(book.data), name=book.name) for book in story.books}
    return ChatLorebooks(books, cast, story.character.card, macro_context(cast, story.character.card))


@dataclass(frozen=True, slots=True)
class ConstantLore:
    """The constant entries: their texts, macros included, for the persona; their tokens; one explanation each."""

    texts: ConstantTexts
    n_tokens: int
    explanations: tuple[dict[str, Any], ...]


class ContentMeter:
    """Measures contents in tokens, as far as it may matter: what cannot fit into `room` is NO_ROOM, untokenized.

    Tokenizing is the costly part of a long lorebook: the further contents, once MAX_MEASURED times the room was
    measured, have NO_ROOM either.
    """

    def __init__(self, lorebooks: ChatLorebooks, tokenize: Callable[[str], tuple[int, ...]], room: int) -> None:
        self._lorebooks, self._tokenize, self._room = lorebooks, tokenize, max(0, room)
        self._left = MAX_MEASURED * self._room
        self._tokens: dict[str, tuple[int, ...]] = {}

    def n_tokens(self, content: str) -> int:
        """The length of a content, or NO_ROOM."""
        if content not in self._tokens and (self._left <= 0 or len(content) > _TOKEN_LETTERS * self._room):
            return NO_ROOM
        return len(self.tokens(content))

    def n_tokens_known(self, content: str) -> int:
        """The length of a content if it was measured, else 0."""
        return len(self._tokens.get(content, ()))

    def tokens(self, content: str) -> tuple[int, ...]:
        """The tokens of a content; none when its macros leave nothing of it."""
        if content not in self._tokens:
            text = self._lorebooks.text(content)
            tokens = self._tokenize(text) if text else ()
            self._left -= len(tokens)
            self._tokens[content] = tokens
        return self._tokens[content]


def constant_lore(lorebooks: ChatLorebooks, framing: PromptFraming, limits: Limits) -> ConstantLore:
    """The constant entries of all books, as far as they fit."""
    constant = [
        (book_id, entry)
        for book_id, book in lorebooks.books.items()
        for entry in book.entries
        if entry.enabled and entry.content and entry.pinned
    ]
    left, kept, explanations = limits.context // LORE_SHARE, [], []
    meter = ContentMeter(lorebooks, framing.inner_tokens, left)
    for book_id, entry in sorted(constant, key=lambda item: -item[1].priority):
        n_tokens = meter.n_tokens(entry.content)
        fits = n_tokens <= left
        left -= n_tokens if fits else 0
        kept += [(book_id, entry)] if fits else []
        why, shown = ("constant", n_tokens) if fits else ("no_room", meter.n_tokens_known(entry.content))
        explanations.append(explanation(entry, lorebooks.books[book_id].name, why, "", shown))
    kept.sort(key=lambda item: item[1].order)
    return ConstantLore(_constant_texts(kept), limits.context // LORE_SHARE - left, tuple(explanations[:MAX_CONSTANT]))


def explanation(entry: LoreEntry, book: str, why: str, by: str, n_tokens: int) -> dict[str, Any]:
    """Why an entry was inserted or left out, as it is kept with an alternative; `by`: the key that was found."""
    name = entry.name or next(iter(entry.keys), "") or f"#{entry.place}"
    return {"name": name[:80], "book": book[:80], "why": why, "key": by[:80], "tokens": n_tokens}


def _constant_texts(kept: list[tuple[str, LoreEntry]]) -> ConstantTexts:
    own = [entry for book_id, entry in kept if book_id == CARD_BOOK_ID]
    return ConstantTexts(
        before=tuple(entry.content for entry in own if entry.before_char),
        after=tuple(entry.content for entry in own if not entry.before_char),
        chat=tuple(entry.content for book_id, entry in kept if book_id != CARD_BOOK_ID),
    )
