"""Stored form of an imported card: `to_stored` and `envelope` are inverse, so an export loses nothing.

What it does: a stored card is the `data` object of a V3 card with one more field, RECORD, which keeps everything that
the file had beside it. Only this module and report.py read that field, and no export shows it.
What it refuses to know: files (files.py) and the database.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from store.cards.normalize import KNOWN, NormalizedCard, newer, repaired
from store.import_findings import Finding

RECORD = "_inglenook"
_RECORDED = ("spec", "version", "outer", "mirrors", "odd")


def to_stored(normalized: NormalizedCard) -> dict[str, Any]:
    """A normalized card as the database keeps it."""
    record = {name: getattr(normalized, name) for name in _RECORDED if getattr(normalized, name)}
    if RECORD in normalized.data:
        record["same_name"] = normalized.data[RECORD]
    if normalized.notes:
        record["notes"] = [asdict(note) for note in normalized.notes]
    card = {**normalized.data, RECORD: record}
    record["digest"] = digest(card)
    return card


def data_of(card: Mapping[str, Any]) -> dict[str, Any]:
    """The `data` object of an export."""
    record = record_of(card)
    data = {name: value for name, value in card.items() if name != RECORD}
    for name, value in _mapping(record.get("odd")).items():
        if name in KNOWN and data.get(name) == repaired(name, value):  # unchanged since the import
            data[name] = value
    return data | ({RECORD: record["same_name"]} if "same_name" in record else {})


def envelope(card: Mapping[str, Any], version: int = 3) -> dict[str, Any]:
    """The whole object of a V3 card, or of a V2 card with the same fields."""
    record, data = record_of(card), data_of(card)
    spec, number = f"chara_card_v{version}", f"{version}.0"
    if version == 3 and newer(str(record.get("version", ""))):
        spec, number = str(record.get("spec") or spec), str(record["version"])
    mirrors = {name: data[name] for name in record.get("mirrors", ()) if name in data}
    return {"spec": spec, "spec_version": number, "data": data, **mirrors, **_mapping(record.get("outer"))}


def record_of(card: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record of the import; empty for a card that was written here."""
    return _mapping(card.get(RECORD))


def notes_of(card: Mapping[str, Any]) -> tuple[Finding, ...]:
    """The findings from reading the file."""
    return tuple(Finding(**note) for note in record_of(card).get("notes", ()))


def without_note(card: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """The card without the findings of this reason, which no longer apply."""
    record = record_of(card)
    notes = [note for note in record.get("notes", ()) if note["reason"] != reason]
    return {**card, RECORD: {**record, "notes": notes}} if record else dict(card)


def with_note(card: Mapping[str, Any], note: Finding) -> dict[str, Any]:
    """The same card, with a note more."""
    record = record_of(card)
    return {**card, RECORD: {**record, "notes": [*record.get("notes", ()), asdict(note)]}}


def tagline_of(card: Mapping[str, Any]) -> str:
    """The tagline in an export of ours; empty for other cards."""
    tagline = _mapping(_mapping(card.get("extensions")).get("inglenook")).get("tagline")
    return tagline if isinstance(tagline, str) else ""


def with_tagline(card: Mapping[str, Any], tagline: str) -> dict[str, Any]:
    """The card with a tagline in its extensions, for an export."""
    if tagline == tagline_of(card):
        return dict(card)
    extensions = _mapping(card.get("extensions"))
    own = {name: value for name, value in _mapping(extensions.get("inglenook")).items() if name != "tagline"}
    own |= {"tagline": tagline} if tagline else {}
    return {**card, "extensions": {**extensions, "inglenook": own}}


def digest(card: Mapping[str, Any]) -> str:
    """A hash of the exported fields, whatever their order."""
    exported = {**envelope(card), "spec": "", "spec_version": ""}
    return hashlib.sha256(json.dumps(exported, sort_keys=True).encode()).hexdigest()


def is_same(card: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether an imported card (`other`) equals this one, as it was imported or as it is now."""
    wanted = record_of(other).get("digest")
    return wanted in (record_of(card).get("digest"), digest(card))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
