"""Import report of a card: `findings` says for each field whether it is applied, approximated or kept. Pure.

It is computed anew each time, so it describes what this version applies to the card as it is now; only the findings
from reading the file are stored (stored_card.py).
What it refuses to know: languages (web/rendering/import_report.py) and the fields of lorebooks (lore/report.py).
To add a field: here, among the applied ones or in `_UNUSED`; a new reason: import_findings.py.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

from store.cards.assets import background_path
from store.cards.normalize import KNOWN
from store.cards.stored_card import RECORD, notes_of, record_of
from store.import_findings import Finding, FindingVerdict
from store.lore import report as lore_report
from store.status import DEFAULT, fields_of

MAX_FINDINGS, MAX_PATH = 400, 80
_TEXTS: Mapping[str, tuple[FindingVerdict, str]] = {
    "name": ("applied", "name"),
    "nickname": ("applied", "nickname"),
    **dict.fromkeys(("description", "personality", "scenario"), ("applied", "persona")),
    "system_prompt": ("applied", "system_prompt"),
    "mes_example": ("applied", "examples"),
    "post_history_instructions": ("applied", "after_story"),
    **dict.fromkeys(("creator_notes", "creator", "character_version"), ("applied", "shown")),
}
_UNUSED = ("source", "creation_date", "modification_date")


def findings(card: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Every finding of a stored card, at most MAX_FINDINGS."""
    lines = chain(notes_of(card), _texts(card), _lists(card), _book(card), _extensions(card), _others(card))
    return tuple(islice(lines, MAX_FINDINGS))


def _texts(card: Mapping[str, Any]) -> Iterator[Finding]:
    for name, (verdict, reason) in _TEXTS.items():
        if _is_text(card.get(name)):
            yield Finding(verdict, f"data.{name}", reason)


def _lists(card: Mapping[str, Any]) -> Iterator[Finding]:
    if _is_text(card.get("first_mes")):
        yield Finding("applied", "data.first_mes", "greetings")
    n_others = sum(map(_is_text, _list(card.get("alternate_greetings"))))
    if n_others:
        yield Finding("applied", "data.alternate_greetings", "greetings", {"n": n_others})
    if _list(card.get("tags")):
        yield Finding("applied", "data.tags", "tags")
    if _list(card.get("group_only_greetings")):
        yield Finding("kept", "data.group_only_greetings", "groups_only")
    if _mapping(card.get("creator_notes_multilingual")):
        yield Finding("applied", "data.creator_notes_multilingual", "shown")
    if any(not _is_used(card, one) for one in _list(card.get("assets"))):
        yield Finding("kept", "data.assets", "assets_unused")
    for name in _UNUSED:
        if card.get(name) not in (None, "", []):
            yield Finding("kept", f"data.{name}", "unused")


def _extensions(card: Mapping[str, Any]) -> Iterator[Finding]:
    for name, value in _mapping(card.get("extensions")).items():
        verdict, reason = _extension(card, name, value)
        yield Finding(verdict, _path("data.extensions", name), reason)


def _extension(card: Mapping[str, Any], name: str, value: Any) -> tuple[FindingVerdict, str]:
    if name == "depth_prompt" and _is_text(_mapping(value).get("prompt")):
        return "approximated", "near_the_end"
    if name == "world" and _is_text(value) and not _mapping(card.get("character_book")).get("entries"):
        return "kept", "world"
    if name == "inglenook" and fields_of(card) is not DEFAULT:
        return "applied", "status"
    return "kept", "unused"


def _book(card: Mapping[str, Any]) -> Iterator[Finding]:
    book = card.get("character_book")
    if not isinstance(book, Mapping):
        return
    if not book.get("entries"):
        yield Finding("kept", "data.character_book", "empty_book")
    yield from lore_report.findings(book, "data.character_book")


def _others(card: Mapping[str, Any]) -> Iterator[Finding]:
    for name in card:
        if name not in KNOWN and name != RECORD:
            yield Finding("kept", _path("data", name), "unknown")
    for name in _mapping(record_of(card).get("outer")):
        yield Finding("kept", _path("", name), "other_copy" if name in KNOWN else "unknown")


def _is_used(card: Mapping[str, Any], asset: Any) -> bool:
    kind, name, uri = (str(_mapping(asset).get(part, "")) for part in ("type", "name", "uri"))
    if kind == "background" and any(note.reason == "background" for note in notes_of(card)):
        return uri.partition("://")[2] == background_path(card)
    return kind == "icon" and name == "main"


def _path(above: str, name: str) -> str:
    return f"{above}.{name}".removeprefix(".")[:MAX_PATH]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
