"""Lorebook editor: changes single fields in a lorebook file and exports it as a V3 lorebook. Pure: returns new values.

What it does: `draft_of` shows the editable fields of an entry; `changed` writes only the fields that differ, under the
name that the entry has for them, or the one of the file's shape; everything else in the file stays as it was.
What it refuses to know: what the fields mean (book.py).
To make another field editable: EntryDraft, `draft_of` and `_NAMES` here; web/lorebooks/entry_form.py and
web/templates/lorebook_entry.html.
"""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from store.lore.book import LOGICS, body_of, raw_entries, read_book
from store.lore.lenient import find, flag, integer, mapping, text, words

_NAMES = {  # what a field is called: in the two kinds of files, and whether a card's book has it in `extensions`
    "name": ("name", "comment", False),
    "keys": ("keys", "key", False),
    "secondary": ("secondary_keys", "keysecondary", False),
    "selective": ("selective", "selective", False),
    "logic": ("selectiveLogic", "selectiveLogic", True),
    "content": ("content", "content", False),
    "constant": ("constant", "constant", False),
    "order": ("insertion_order", "order", False),
    "case_sensitive": ("case_sensitive", "caseSensitive", False),
    "whole_words": ("match_whole_words", "matchWholeWords", True),
    "scan_depth": ("scan_depth", "scanDepth", True),
    "probability": ("probability", "probability", True),
    "sticky": ("sticky", "sticky", True),
    "cooldown": ("cooldown", "cooldown", True),
    "delay": ("delay", "delay", True),
}
_PLACE = re.compile(r"\d{1,9}", re.ASCII)
_MAPPED = frozenset({"key", "keysecondary", "comment", "content", "constant", "selective", "order", "disable", "uid"})


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """An entry as a person sees and changes it. `content` has its decorators; `scan_depth` None: the book's."""

    name: str = ""
    keys: tuple[str, ...] = ()
    content: str = ""
    enabled: bool = True
    constant: bool = False
    selective: bool = False
    secondary: tuple[str, ...] = ()
    logic: int = 0
    order: int = 100
    probability: int = 100
    sticky: int = 0
    cooldown: int = 0
    delay: int = 0
    scan_depth: int | None = None
    case_sensitive: bool = False
    whole_words: bool = True


def draft_of(entry: Mapping[str, Any]) -> EntryDraft:
    """The editable fields of an entry of any shape, with defaults for missing ones."""
    depth, logic = find(entry, "scan_depth", "scanDepth"), integer(find(entry, "selectiveLogic"), 0)
    has_probability = flag(find(entry, "useProbability", "use_probability"), True)
    return EntryDraft(
        name=text(entry.get("name")).strip() or text(entry.get("comment")).strip(),
        keys=words(find(entry, "keys", "key")),
        content=text(entry.get("content")),
        enabled=flag(entry.get("enabled"), True) and not flag(entry.get("disable"), False),
        constant=flag(entry.get("constant"), False),
        selective=flag(entry.get("selective"), "keysecondary" in entry),
        secondary=words(find(entry, "secondary_keys", "keysecondary")),
        logic=logic if 0 <= logic < len(LOGICS) else 0,
        order=integer(find(entry, "insertion_order", "order"), 100),
        probability=max(0, min(100, integer(find(entry, "probability"), 100))) if has_probability else 100,
        sticky=max(0, integer(find(entry, "sticky"), 0)),
        cooldown=max(0, integer(find(entry, "cooldown"), 0)),
        delay=max(0, integer(find(entry, "delay"), 0)),
        scan_depth=None if depth is None else max(0, integer(depth, 0)),
        case_sensitive=flag(find(entry, "case_sensitive", "caseSensitive"), False),
        whole_words=flag(find(entry, "match_whole_words", "matchWholeWords"), True),
    )


def entry_at(raw: Mapping[str, Any], place: str) -> Mapping[str, Any] | None:
    """The entry that stands at a place of the file."""
    return dict(raw_entries(raw)).get(place)


def changed(raw: Mapping[str, Any], place: str | None, draft: EntryDraft) -> dict[str, Any]:
    """The file with one entry as the draft has it; no `place`: a new entry at the end."""
    book = copy.deepcopy(dict(raw))
    entries = _entries_of(book)
    entry = _blank(entries) if place is None else _at(entries, place)
    before = draft_of(entry)
    for field in fields(EntryDraft):
        value = getattr(draft, field.name)
        if value != getattr(before, field.name):
            _write(entry, field.name, list(value) if isinstance(value, tuple) else value)
    return book


def without(raw: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The file without one entry."""
    book = copy.deepcopy(dict(raw))
    entries = _entries_of(book)
    if isinstance(entries, dict):
        del entries[place]
    else:
        del entries[int(place)]
    return book


def as_v3(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The book as a stand-alone V3 lorebook; what only a world info file has is kept in the entries' `extensions`."""
    body = copy.deepcopy(dict(body_of(raw)))
    data = body | {
        "name": text(body.get("name")) or name,
        "extensions": body.get("extensions", {}),
        "entries": [_v3_entry(place, dict(entry)) for place, entry in raw_entries({"entries": body.get("entries")})],
    }
    return {"spec": "lorebook_v3", "data": data}


def _entries_of(book: dict[str, Any]) -> dict[str, Any] | list[Any]:
    """The entries inside a book that may be changed; an empty list comes in where there were none."""
    body = body_of(book)
    entries = body.get("entries")
    if isinstance(entries, dict | list):
        return entries
    book["entries"] = []
    return book["entries"]  # type: ignore[no-any-return]


def _at(entries: dict[str, Any] | list[Any], place: str) -> dict[str, Any]:
    return entries[place] if isinstance(entries, dict) else entries[int(place)]  # type: ignore[no-any-return]


def _blank(entries: dict[str, Any] | list[Any]) -> dict[str, Any]:
    """A new entry at the end, with what its kind of file must have."""
    if isinstance(entries, list):
        entry: dict[str, Any] = {"keys": [], "content": "", "extensions": {}, "enabled": True, "insertion_order": 100}
        entries.append(entry)
        return entry
    number = 1 + max((int(place) for place in entries if _PLACE.fullmatch(place)), default=-1)
    entries[str(number)] = {"uid": number, "key": [], "keysecondary": [], "content": "", "selective": False}
    return entries[str(number)]  # type: ignore[no-any-return]


def _write(entry: dict[str, Any], field: str, value: Any) -> None:
    if field == "enabled":
        entry |= _enabled(entry, value)
        return
    plain, world, in_extensions = _NAMES[field]
    extensions = entry.get("extensions")
    names = ("comment", "name") if field == "name" and not text(entry.get("name")).strip() else (plain, world)
    if field == "probability" and find(entry, "useProbability") is not None:
        _put(entry, ("useProbability",), value=True)
    if _put(entry, names, value):
        return
    if "key" in entry or "uid" in entry:
        entry[world] = value
    elif in_extensions:
        entry["extensions"] = {**mapping(extensions), plain: value}
    else:
        entry[plain] = value


def _put(entry: dict[str, Any], names: tuple[str, ...], value: Any) -> bool:
    """Write a value where the entry has one already."""
    for place in (entry, entry.get("extensions")):
        for name in names:
            if isinstance(place, dict) and place.get(name) is not None:
                place[name] = value
                return True
    return False


def _enabled(entry: Mapping[str, Any], value: bool) -> dict[str, Any]:
    """A file may have `enabled`, `disable` or both, which must agree."""
    states = {"enabled": value} if "enabled" in entry or "disable" not in entry else {}
    return states | ({"disable": not value} if "disable" in entry else {})


def _v3_entry(place: str, entry: dict[str, Any]) -> dict[str, Any]:
    if "keys" in entry or "key" not in entry:
        return entry
    draft = draft_of(entry)
    number = integer(entry.get("uid"), -1)
    return {
        "keys": list(draft.keys),
        "content": draft.content,
        "extensions": {
            **{name: value for name, value in entry.items() if name not in _MAPPED and name != "extensions"},
            **mapping(entry.get("extensions")),
        },
        "enabled": draft.enabled,
        "insertion_order": draft.order,
        "case_sensitive": draft.case_sensitive,
        "use_regex": flag(entry.get("use_regex"), False),
        "constant": draft.constant,
        "name": draft.name,
        "id": number if number >= 0 else place,
        "priority": integer(entry.get("priority"), draft.order),
        "selective": draft.selective,
        "secondary_keys": list(draft.secondary),
        "position": "before_char" if read_book({"entries": [entry]}).entries[0].before_char else "after_char",
    }
