"""Tags of characters: cards bring them as a list or as one text with commas; people filter by them.

Pure: it knows cards, no requests and no pages.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from store import texts
from store.views import CharacterView

MAX_TAGS, MAX_LENGTH, MAX_FILTER_TAGS = 30, 40, 16
_COMMAS = re.compile(r"[,，、;；\n]")


def tags_of(card: Mapping[str, Any]) -> tuple[str, ...]:
    """The tags of a card, each once."""
    given = card.get("tags")
    return split_tags(given if isinstance(given, str) else ",".join(map(str, given)) if isinstance(given, list) else "")


def split_tags(text: str) -> tuple[str, ...]:
    """The tags in one line of text, each once whatever its case."""
    found: dict[str, str] = {}
    for part in _COMMAS.split(texts.clean(text)):
        tag = " ".join(part.split())[:MAX_LENGTH].strip()
        if tag:
            found.setdefault(tag.casefold(), tag)
    return tuple(found.values())[:MAX_TAGS]


def most_common_tags(characters: Iterable[CharacterView]) -> list[str]:
    """The tags that most characters have, to filter by."""
    spelled: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for character in characters:
        for tag in tags_of(character.card):
            spelled.setdefault(tag.casefold(), tag)
            counts[tag.casefold()] += 1
    return [spelled[key] for key, _ in counts.most_common(MAX_FILTER_TAGS)]
