"""Import report of a lorebook: `findings` says for each field whether it is applied. Pure.

One line is about all entries: `path.entries[].sticky`, with their number in `values["n"]`.
What it refuses to know: languages (web/rendering/import_report.py has the sentence of every reason).
To add a field that book.py reads: its names in `_APPLIED`, `_BOOK` or `_PLACES`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from store.import_findings import Finding, FindingVerdict
from store.lore import decorators
from store.lore.book import MAX_ENTRIES, LoreEntry, body_of, raw_entries, read_book
from store.lore.lenient import find, integer, mapping, text
from store.lore.patterns import broken, is_pattern

_BOOK = frozenset({"name", "description", "scan_depth", "scanDepth", "token_budget", "tokenBudget", "entries"})
_RECURSION = frozenset({"recursive_scanning", "recursiveScanning"})
_NAMES = frozenset({"name", "comment", "id", "uid", "displayIndex", "display_index", "addMemo"})
_APPLIED = frozenset(
    {
        *("keys", "key", "use_regex", "case_sensitive", "caseSensitive", "match_whole_words", "matchWholeWords"),
        *("selective", "secondary_keys", "keysecondary", "selectiveLogic", "scan_depth", "scanDepth"),
        *("content", "enabled", "disable", "constant", "insertion_order", "order", "priority"),
        *("probability", "useProbability", "sticky", "cooldown", "delay"),
        *("exclude_recursion", "excludeRecursion", "prevent_recursion", "preventRecursion"),
        *("delay_until_recursion", "delayUntilRecursion"),
    }
)
_PLACES = frozenset({"position", "depth", "role"})
MAX_PATTERN_LETTERS = 20_000  # that a report compiles: under half a second
_NOTHING: tuple[Any, ...] = (None, "", 0, False, [], {})


def findings(raw: Mapping[str, Any], path: str) -> tuple[Finding, ...]:
    """The findings of a book of any shape; `path` is the path of the book in its file."""
    book = read_book(raw)
    lines = [*_book_fields(body_of(raw), path), *_entries(book.entries, f"{path}.entries[]")]
    lines += _fields([entry for _, entry in raw_entries(raw)], f"{path}.entries[]")
    entries = body_of(raw).get("entries")
    n_entries = len(entries) if isinstance(entries, Mapping | list) else 0
    if n_entries > MAX_ENTRIES:
        values = {"n": n_entries - MAX_ENTRIES, "most": MAX_ENTRIES}
        lines.append(Finding("kept", f"{path}.entries", "lore_too_many", values))
    return tuple(lines)


def _book_fields(body: Mapping[str, Any], path: str) -> Iterator[Finding]:
    for name, value in body.items():
        if name in _BOOK and name != "entries" and value not in _NOTHING:
            yield Finding("applied", f"{path}.{name}", "lore_field")
        elif name in _RECURSION and value not in _NOTHING:
            yield Finding("applied", f"{path}.{name}", "lore_recursion")
        elif name == "extensions":
            yield from (Finding("kept", f"{path}.extensions.{key}", "unused") for key in mapping(value))
        elif name not in _BOOK | _RECURSION:
            yield Finding("kept", f"{path}.{name}", "unused")


def _entries(entries: tuple[LoreEntry, ...], path: str) -> Iterator[Finding]:
    """One finding for each group of entries: constant, reachable, without keys, disabled, ..."""
    usable = [entry for entry in entries if entry.enabled and entry.content]
    pinned = [entry for entry in usable if entry.pinned]
    reachable = [entry for entry in usable if entry.keys or entry.forced or entry.constant]
    groups: tuple[tuple[FindingVerdict, str, int], ...] = (
        ("applied", "lore_constant", len(pinned)),
        ("approximated", "lore_near", len(reachable) - len(pinned)),
        ("kept", "lore_without_keys", len(usable) - len(reachable)),
        ("kept", "lore_without_content", sum(not entry.content for entry in entries)),
        ("kept", "lore_disabled", sum(not entry.enabled for entry in entries)),
        ("kept", "lore_bad_pattern", _n_with_bad_pattern(entries)),
    )
    yield from (Finding(verdict, path, reason, {"n": n}) for verdict, reason, n in groups if n)


def _n_with_bad_pattern(entries: tuple[LoreEntry, ...]) -> int:
    """How many entries have an invalid pattern, as far as the patterns have MAX_PATTERN_LETTERS together."""
    left, n_bad = MAX_PATTERN_LETTERS, 0
    for entry in entries:
        patterns = [one for one in patterns_of(entry) if is_pattern(*one)]
        left -= sum(len(key) for key, _ in patterns)
        if left < 0:
            break
        n_bad += any(map(broken, patterns))
    return n_bad


def patterns_of(entry: LoreEntry) -> tuple[tuple[str, bool], ...]:
    """All keys of an entry, with whether the entry wants them read as patterns."""
    keys = (*entry.keys, *entry.secondary, *entry.additional, *entry.excluded)
    return tuple((key, entry.use_regex) for key in keys)


def _fields(entries: list[Mapping[str, Any]], path: str) -> Iterator[Finding]:
    """One line per field that is used by any entry."""
    used: Counter[tuple[FindingVerdict, str, str]] = Counter()
    for entry in entries:
        used.update(set(_entry_fields(entry)))
    for (verdict, field, reason), n in sorted(used.items(), key=lambda item: (item[0][0], item[0][1])):
        yield Finding(verdict, f"{path}.{field}", reason, {"n": n})


def _entry_fields(entry: Mapping[str, Any]) -> Iterator[tuple[FindingVerdict, str, str]]:
    for name, value in entry.items():
        if name != "extensions":
            yield from _one_field(entry, name, name, value)
    for name, value in mapping(entry.get("extensions")).items():
        yield from _one_field(entry, name, f"extensions.{name}", value)
    for name in decorators.split(text(entry.get("content"))).unknown:
        yield "kept", f"content @@{name[:40]}", "lore_unknown_decorator"


def _one_field(
    entry: Mapping[str, Any], name: str, field: str, value: Any
) -> Iterator[tuple[FindingVerdict, str, str]]:
    if name in _NAMES:
        return
    if name in _PLACES:
        if _stands_elsewhere(entry, name):
            yield "approximated", field, "lore_place"
    elif name in _APPLIED:
        if value not in _NOTHING:
            yield "applied", field, "lore_field"
    elif value not in _NOTHING:
        yield "kept", field, "unused"


def _stands_elsewhere(entry: Mapping[str, Any], name: str) -> bool:
    """Whether the file asks for a position other than the two supported ones; depth and role count in position 4
    only."""
    place = integer(find(entry, "position"), 0)
    exact = integer(mapping(entry.get("extensions")).get("position"), place)
    return exact > 1 if name == "position" else exact == 4
