"""Card normalizer: cards of every version become the `data` object of a V3 card.

What it does: `normalize` finds the fields wherever the file has them and repairs values of the wrong type. The original
of a lossy repair is kept in `odd`, and everything outside `data` in `outer`, so that stored_card.py can export both.
What it refuses to know: files, and what a field is used for (report.py).
To add a card field: into TEXTS or `_REPAIRS` here; into report.py (applied, or kept but unused); where the prompt uses
it: worker/prompt/persona.py or chat_macros.py; web/characters/card_form.py and its template if people edit it; a value
in tests/store/card_files.py.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from store.cards.card_json import dump_json
from store.cards.errors import CardError
from store.import_findings import Finding

V1 = ("name", "description", "personality", "scenario", "first_mes", "mes_example")
TEXTS = (*V1, "creator_notes", "system_prompt", "post_history_instructions", "creator", "character_version")
KNOWN_VERSION = 3.0
MAX_NAME = 80
_ENVELOPE = ("spec", "spec_version", "data")
_BROKEN = re.compile("[\0\ud800-\udfff]")


@dataclass
class NormalizedCard:
    """A card in the form of V3, and everything else that its file had."""

    data: dict[str, Any]
    spec: str = ""
    version: str = ""
    outer: dict[str, Any] = field(default_factory=dict)
    mirrors: list[str] = field(default_factory=list)
    odd: dict[str, Any] = field(default_factory=dict)
    notes: list[Finding] = field(default_factory=list)


def normalize(value: Any) -> NormalizedCard:
    """Normalize the JSON value of a card file. Raises CardError "no_card", "is_lorebook", "bad_number"."""
    if not isinstance(value, dict):
        raise CardError("no_card")
    n_broken, clean = _without_broken(value)
    inner = clean.get("data")
    is_v1, given = not isinstance(inner, dict), dict(inner) if isinstance(inner, dict) else {}
    _refuse_others(clean, given)
    card = NormalizedCard(dict(given), spec=_word(clean.get("spec")), version=_word(clean.get("spec_version")))
    if n_broken:
        card.notes.append(Finding("approximated", "", "broken_characters", {"n": n_broken}))
    for name, content in clean.items():
        if name not in _ENVELOPE:
            _place(card, name, content, is_v1)
    if is_v1 and inner is not None:
        card.data["data"] = inner  # its own place is taken in what goes out
    _note_version(card)
    for name, repair in _REPAIRS.items():
        _repair(card, name, repair)
    for name, content in clean.items():
        if name in _REPAIRS and given.get(name) is not None:
            _compare(card, given, name, content)
    return card


def _refuse_others(clean: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    fields = {*clean, *data}
    entries = clean.get("entries", data.get("entries"))
    if clean.get("spec") == "lorebook_v3" or (isinstance(entries, list | dict) and not fields & set(V1[1:])):
        raise CardError("is_lorebook")
    if not fields & set(V1):
        raise CardError("no_card")


def _place(card: NormalizedCard, name: str, content: Any, is_v1: bool) -> None:
    """Take something from outside `data`: into `data` if that lacks the field, into `outer` if it is no known field."""
    if name not in _REPAIRS:
        card.outer[name] = content
    elif card.data.get(name) is None:
        card.data[name] = content
        if not is_v1:
            card.notes.append(Finding("approximated", f"data.{name}", "outside_data"))


def _compare(card: NormalizedCard, given: Mapping[str, Any], name: str, content: Any) -> None:
    """A field that stands outside `data` as well: note a mirror, or keep the other value."""
    if any(json.dumps(content) == json.dumps(one) for one in (given[name], card.data.get(name))):
        card.mirrors.append(name)
    else:
        card.outer[name] = content


def _note_version(card: NormalizedCard) -> None:
    if newer(card.version):
        card.notes.append(Finding("approximated", "spec_version", "newer_version", {"version": card.version[:20]}))


def newer(version: str) -> bool:
    """Whether this is the number of a version that is not known here."""
    try:
        return float(version) > KNOWN_VERSION
    except ValueError:
        return False


def _repair(card: NormalizedCard, name: str, repair: "Repair") -> None:
    original = card.data.get(name)
    value, reason, is_lossy = repair(original)
    if is_lossy:
        card.odd[name] = original
    if reason:
        card.notes.append(Finding("kept" if reason == "odd_shape" else "approximated", f"data.{name}", reason))
    if value is None:
        card.data.pop(name, None)
    else:
        card.data[name] = value


def repaired(name: str, value: Any) -> Any:
    """What `unfold` makes of a field with this content; None when it leaves the field out."""
    return _REPAIRS[name](value)[0]


Repaired = tuple[Any, str, bool]  # the value, the reason of a finding or "", whether the original must be kept in `odd`
Repair = Callable[[Any], Repaired]


def _text(value: Any) -> Repaired:
    if isinstance(value, str):
        return value, "", False
    if value is None:
        return "", "", False
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value), "was_number", False
    return "", "odd_shape", True


def _name(value: Any) -> Repaired:
    name, reason, is_lossy = _text(value)
    words = " ".join(name.split())
    if len(words) > MAX_NAME:
        return words[:MAX_NAME].strip(), "name_cut", True
    return name, reason, is_lossy


def _optional_text(value: Any) -> Repaired:
    return (None, "", False) if value is None else _text(value)


def _words(separator: str | None) -> Repair:
    def repair(value: Any) -> Repaired:
        if isinstance(value, str):
            parts = value.split(separator) if separator else [value]
            return [part.strip() if separator else part for part in parts if part.strip()], "was_text", False
        if value is None:
            return [], "", False
        if isinstance(value, list):
            words = [word for word in value if isinstance(word, str)]
            return words, "odd_shape" if len(words) < len(value) else "", len(words) < len(value)
        return [], "odd_shape", True

    return repair


def _mapping(value: Any) -> Repaired:
    if isinstance(value, dict):
        return value, "", False
    is_odd = value not in (None, [], "")
    return {}, "odd_shape" if is_odd else "", is_odd


def _book(value: Any) -> Repaired:
    if isinstance(value, list):
        return {"entries": value, "extensions": {}}, "", False
    if value is None or isinstance(value, dict):
        return value, "", False
    return None, "odd_shape", True


def _anything(value: Any) -> Repaired:
    return value, "", False


_REPAIRS: Mapping[str, Repair] = {
    **dict.fromkeys(TEXTS, _text),
    "name": _name,
    "alternate_greetings": _words(None),
    "group_only_greetings": _words(None),
    "tags": _words(","),
    "extensions": _mapping,
    "character_book": _book,
    "nickname": _optional_text,
    **dict.fromkeys(
        ("assets", "creator_notes_multilingual", "source", "creation_date", "modification_date"), _anything
    ),
}
KNOWN = frozenset(_REPAIRS)


def _word(value: Any) -> str:
    return str(value)[:200] if isinstance(value, str | int | float) else ""


def _without_broken(value: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """How many texts have NUL or lone surrogates in them, and the value with U+FFFD instead."""
    written = dump_json(value)
    if "\\u0000" not in written and not _BROKEN.search(written):
        return 0, value
    broken: list[str] = []
    clean = _cleaned(value, broken)
    return len(broken), clean


def _cleaned(value: Any, broken: list[str]) -> Any:
    if isinstance(value, str):
        if _BROKEN.search(value):
            broken.append(value)
        return _BROKEN.sub("\ufffd", value)
    if isinstance(value, list):
        return [_cleaned(one, broken) for one in value]
    if isinstance(value, dict):
        return {_cleaned(key, broken): _cleaned(one, broken) for key, one in value.items()}
    return value
