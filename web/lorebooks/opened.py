"""An opened lorebook: the one that an id in an address stands for, to be read or to be changed.

What it does: a lorebook is named by its id, or by `of-<character>` for the one embedded in the card of a character of
the person. `to_read` also finds those that others share. What it refuses to know: pages and forms (lorebook_page.py).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from store import characters
from store.cards.card_json import MAX_JSON_BYTES
from store.errors import NotFound, Refused
from store.lore import books
from store.lore.book import Lorebook, read_book
from store.views import LorebookView
from web.auth.accounts import me
from web.services import services

CHARACTER_PREFIX = "of-"


@dataclass(frozen=True)
class OpenedLorebook:
    """A lorebook of the person: stored by itself, or embedded in a card (`character_id`); or another person's."""

    id: str
    name: str
    data: Mapping[str, Any]
    character_id: str = ""
    owner_id: str = ""
    rating: str = "everyone"
    is_own: bool = True

    @property
    def book(self) -> Lorebook:
        """The parsed lorebook."""
        return read_book(self.data)

    def keep(self, data: Mapping[str, Any]) -> None:
        """Save changed data where the lorebook is stored. Raises Refused "book_too_large"."""
        database = services().database
        if len(json.dumps(data, ensure_ascii=False).encode(errors="replace")) > MAX_JSON_BYTES:
            raise Refused("book_too_large")
        if self.character_id:
            books.change_own_book(database, me().id, self.character_id, data)
        else:
            books.change_book(database, me().id, self.id, data)


def to_change(lorebook_id: str) -> OpenedLorebook:
    """The lorebook of the person. Raises NotFound."""
    if lorebook_id.startswith(CHARACTER_PREFIX):
        return _of_character(lorebook_id)
    return _opened(books.get_book(services().database, me().id, lorebook_id))


def to_read(lorebook_id: str) -> OpenedLorebook:
    """The lorebook of the person, or one that somebody shares with them. Raises NotFound."""
    if lorebook_id.startswith(CHARACTER_PREFIX):
        return _of_character(lorebook_id)
    return _opened(books.see_book(services().database, me(), lorebook_id))


def _opened(kept: LorebookView) -> OpenedLorebook:
    about: dict[str, Any] = {"owner_id": kept.owner_id, "rating": kept.rating, "is_own": kept.owner_id == me().id}
    return OpenedLorebook(kept.id, kept.name, kept.data, **about)


def _of_character(lorebook_id: str) -> OpenedLorebook:
    character = characters.get_character(services().database, me(), lorebook_id.removeprefix(CHARACTER_PREFIX))
    if character.owner_id != me().id:
        raise NotFound("lorebook")
    own = character.card.get("character_book")
    data = own if isinstance(own, Mapping) else {"name": character.name, "extensions": {}, "entries": []}
    return OpenedLorebook(lorebook_id, character.name, data, character.id, me().id)
