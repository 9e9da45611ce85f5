"""The lorebooks of a chat: which there are, what their texts say in this chat, and their constant entries. Pure.

Constant entries are part of the persona, so they are the same in every turn: those with the highest priority that fit
into a quarter of the context.
What it refuses to know: messages, and what activates an entry (lore.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from store.lore.book import Lorebook, LoreEntry, read_book
from store.views import Story
from worker.prompt.persona import Cast, ConstantTexts, resolve
from worker.prompt.segments import Limits, PromptFraming

LORE_SHARE = 4  # lore may take one part of so many of the context
CARD_BOOK_ID = "card"  # the id of the character's own book


@dataclass(frozen=True, slots=True)
class ChatLorebooks:
    """The lorebooks of a chat, by id; the cast and the card are what the macros of their texts need."""

    books: Mapping[str, Lorebook]
    cast: Cast
    card: Mapping[str, Any]

    def text(self, content: str) -> str:
        """A content with its macros resolved."""
        return resolve(content, self.cast, self.card).strip()

    def expand_macros(self, key: str) -> str:
        """A key with its macros resolved."""
        return resolve(key, self.cast, self.card) if "{{" in key or "<" in key else key


def lorebooks_of(story: Story, cast: Cast) -> ChatLorebooks:
    """All lorebooks that a chat uses, its character's own first."""
    own = story.character.card.get("character_book")
    books = {CARD_BOOK_ID: replace(read_book(own), name=story.character.name)} if isinstance(own, Mapping) else {}
    books |= {book.id: replace(read_book(book.data), name=book.name) for book in story.books}
    return ChatLorebooks(books, cast, story.character.card)


@dataclass(frozen=True, slots=True)
class ConstantLore:
    """The constant entries: their texts, macros included, for the persona; their tokens; one explanation each."""

    texts: ConstantTexts
    n_tokens: int
    explanations: tuple[dict[str, Any], ...]


def constant_lore(lorebooks: ChatLorebooks, framing: PromptFraming, limits: Limits) -> ConstantLore:
    """The constant entries of all books, as far as they fit."""
    constant = [
        (book_id, entry, len(framing.inner_tokens(lorebooks.text(entry.content))))
        for book_id, book in lorebooks.books.items()
        for entry in book.entries
        if entry.enabled and entry.content and entry.pinned
    ]
    left, kept, explanations = limits.context // LORE_SHARE, [], []
    for book_id, entry, n_tokens in sorted(constant, key=lambda item: -item[1].priority):
        fits = n_tokens <= left
        left -= n_tokens if fits else 0
        kept += [(book_id, entry)] if fits else []
        why = "constant" if fits else "no_room"
        explanations.append(explanation(entry, lorebooks.books[book_id].name, why, "", n_tokens))
    kept.sort(key=lambda item: item[1].order)
    return ConstantLore(_constant_texts(kept), limits.context // LORE_SHARE - left, tuple(explanations))


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
