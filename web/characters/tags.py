"""Tags of characters: normalized from a card's list or comma-separated text; the home page filters by them.

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
    value = card.get("tags")
    return split_tags(value if isinstance(value, str) else ",".join(map(str, value)) if isinstance(value, list) else "")


def split_tags(text: str) -> tuple[str, ...]:
    """The tags in one line of text, each once whatever its case."""
    tag_by_key: dict[str, str] = {}
    for part in _COMMAS.split(texts.clean(text)):
        tag = " ".join(part.split())[:MAX_LENGTH].strip()
        if tag:
            tag_by_key.setdefault(tag.casefold(), tag)
    return tuple(tag_by_key.values())[:MAX_TAGS]


def most_common_tags(characters: Iterable[CharacterView]) -> list[str]:
    """The most frequent tags, at most MAX_FILTER_TAGS, as buttons of the filter."""
    spelled: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for character in characters:
        for tag in tags_of(character.card):
            spelled.setdefault(tag.casefold(), tag)
            counts[tag.casefold()] += 1
    return [spelled[key] for key, _ in counts.most_common(MAX_FILTER_TAGS)]
