"""Bundled characters: one JSON file each, in this folder, loaded into the database after a migration.

A file holds `avatar`, `rating`, `tagline`, `locale` and `data`, the data object of a V3 card. The id is derived from
the file's name, so that racing processes agree on it. To add a character: a file here, and its picture in web/static.
"""

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from store.models import Character

_NAMESPACE = uuid.UUID("6f3f6f0e-5f0c-4d5e-9a7e-7b1f0f6c1b2a")


def load_characters(session: Session) -> None:
    """Insert or update the bundled characters."""
    for slug, content in read_files():
        row = session.get(Character, character_id(slug))
        if row is None:
            row = Character(id=character_id(slug), slug=slug, owner_id=None, created_at=time.time())
            session.add(row)
        row.name = content["data"]["name"]
        row.card = content["data"]
        for field in ("tagline", "avatar", "rating", "locale"):
            setattr(row, field, content[field])


def read_files() -> Iterator[tuple[str, dict[str, Any]]]:
    """The slug and the content of each file, in the order of their names."""
    for path in sorted(Path(__file__).parent.glob("*.json")):
        yield path.stem, json.loads(path.read_text(encoding="utf-8"))


def character_id(slug: str) -> str:
    """The id of a bundled character, the same on every machine."""
    return uuid.uuid5(_NAMESPACE, slug).hex
