"""Catalogue: a short curated list of models that role-players run, by the size of the card (catalogue.json).

What it does: reads the data file once, checked; `suited` picks what is meant for a card.
What it refuses to know: sizes, commits and checksums (the hub's tree has them when somebody asks), and whether a model
fits here (the worker's plan says so).
To correct an entry: catalogue.json, with the date and the address where it was looked up.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CARDS_GB = (4, 6, 8, 12)
KINDS = ("dense", "window", "hybrid")
_FILE = Path(__file__).with_name("catalogue.json")


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue. `cards`: sizes in GB; `good_at`: one sentence for each language; `source`: who says so.

    `file` is its name in the repository `repo` ("owner/name"), or a pattern with `*`.
    """

    id: str
    title: str
    repo: str
    file: str
    cards: tuple[int, ...]
    kind: str
    licence: str
    languages: tuple[str, ...]
    good_at: Mapping[str, str]
    source: str
    date: str

    @property
    def host(self) -> str:
        """The name of the site of `source`."""
        return urlsplit(self.source).hostname or ""

    def sentence(self, language: str) -> str:
        """What it is good at, in this language; else in English."""
        return self.good_at.get(language) or self.good_at["en"]


@lru_cache(maxsize=1)
def entries() -> tuple[Entry, ...]:
    """The catalogue, in its own order. Raises ValueError where the file is not what it should be."""
    return tuple(map(_entry, json.loads(_FILE.read_text(encoding="utf-8"))["models"]))


def find(name: str) -> Entry | None:
    """The entry with this id, whatever its letters' case."""
    return next((one for one in entries() if one.id == name.strip().lower()), None)


def search(words: str) -> tuple[Entry, ...]:
    """The entries that have each of the words in their names, languages, kind, licence or sentence."""
    wanted = words.lower().split()
    return tuple(one for one in entries() if all(word in _text(one) for word in wanted))


def card_size(budget_bytes: int) -> int:
    """The size in GB of the catalogue that a card of so many bytes counts as; the smallest for less and for none."""
    held = [size for size in CARDS_GB if budget_bytes >= size * 0.85e9]
    return held[-1] if held else CARDS_GB[0]


def _text(entry: Entry) -> str:
    parts = (entry.id, entry.title, entry.repo, entry.file, entry.kind, entry.licence, *entry.languages)
    return " ".join((*parts, *entry.good_at.values())).lower()


def _entry(found: Any) -> Entry:
    entry = Entry(**{**found, "cards": tuple(found["cards"]), "languages": tuple(found["languages"])})
    if not (set(entry.cards) <= set(CARDS_GB) and entry.cards and entry.kind in KINDS and entry.good_at.get("en")):
        raise ValueError(f"catalogue.json: {entry.id} has unknown cards, an unknown kind or no sentence")
    return entry
