"""The lorebooks of a chat: which there are, what their texts say in this chat, and which of them always count. Pure.

What it refuses to know: messages, and what wakes an entry (lore.py). Constant entries are part of the persona, so they
are the same in every turn: those with the highest priority that fit into a quarter of the context.
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
    """The books of a chat, by id, and how their texts are resolved."""

    books: Mapping[str, Lorebook]
    cast: Cast
    card: Mapping[str, Any]

    def text(self, content: str) -> str:
        """What a content says in this chat."""
        return resolve(content, self.cast, self.card).strip()

    def expand_macros(self, key: str) -> str:
        """A key in this chat."""
        return resolve(key, self.cast, self.card) if "{{" in key or "<" in key else key


def lorebooks_of(story: Story, cast: Cast) -> ChatLorebooks:
    """All books that a chat uses: its character's own first."""
    own = story.character.card.get("character_book")
    books = {CARD_BOOK_ID: replace(read_book(own), name=story.character.name)} if isinstance(own, Mapping) else {}
    books |= {book.id: replace(read_book(book.data), name=book.name) for book in story.books}
    return ChatLorebooks(books, cast, story.character.card)


@dataclass(frozen=True, slots=True)
class ConstantLore:
    """What is always told: the texts, with their macros, for the persona; how long they are; why, for whoever asks."""

    texts: ConstantTexts
    n_tokens: int
    why: tuple[dict[str, Any], ...]


def constant_lore(lorebooks: ChatLorebooks, framing: PromptFraming, limits: Limits) -> ConstantLore:
    """The constant entries of all books, as far as they fit."""
    found = [
        (book_id, entry, len(framing.inner_tokens(lorebooks.text(entry.content))))
        for book_id, book in lorebooks.books.items()
        for entry in book.entries
        if entry.enabled and entry.content and entry.pinned
    ]
    left, kept, why = limits.context // LORE_SHARE, [], []
    for book_id, entry, n_tokens in sorted(found, key=lambda one: -one[1].priority):
        fits = n_tokens <= left
        left -= n_tokens if fits else 0
        kept += [(book_id, entry)] if fits else []
        why.append(explanation(entry, lorebooks.books[book_id].name, "constant" if fits else "no_room", "", n_tokens))
    kept.sort(key=lambda one: one[1].order)
    return ConstantLore(_standing(kept), limits.context // LORE_SHARE - left, tuple(why))


def explanation(entry: LoreEntry, book: str, why: str, by: str, n_tokens: int) -> dict[str, Any]:
    """A line of "what was added", as it is kept with a wording."""
    name = entry.name or next(iter(entry.keys), "") or f"#{entry.place}"
    return {"name": name[:80], "book": book[:80], "why": why, "key": by[:80], "tokens": n_tokens}


def _standing(kept: list[tuple[str, LoreEntry]]) -> ConstantTexts:
    own = [entry for book_id, entry in kept if book_id == CARD_BOOK_ID]
    return ConstantTexts(
        before=tuple(entry.content for entry in own if entry.before_char),
        after=tuple(entry.content for entry in own if not entry.before_char),
        chat=tuple(entry.content for book_id, entry in kept if book_id != CARD_BOOK_ID),
    )
