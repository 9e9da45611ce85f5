"""Lorebook parser: `read_book` turns any of the three file shapes into one Lorebook value. Pure.

The shapes: the book inside a card (V2, V3), a V3 lorebook by itself (`{spec: "lorebook_v3", data}`), and a world info
file (`{entries: {"0": {...}}}`). They differ in the names of their fields, so each field is looked up under all its
names, in the entry and in its `extensions`. No file makes this fail.
What it refuses to know: chats, tokens, and how a file is changed or exported (edit.py).
To read another field: LoreEntry and `_entry` here, its names among the applied ones in report.py, its effect in
match.py, EntryDraft and `_NAMES` in edit.py if people edit it (then web/lorebooks/entry_form.py and its template).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from store.lore import decorators
from store.lore.lenient import BIGGEST, find, flag, integer, mapping, text, words

MAX_ENTRIES = 5_000  # of one book; further ones stay in the file and are not read
DEFAULT_SCAN_DEPTH, DEFAULT_ORDER = 2, 100
MAX_SCAN_DEPTH = 1_000  # messages
MAX_KEYS = 1_000  # of one kind, of one entry
LOGICS = ("and_any", "not_all", "not_any", "and_all")  # numbered so in world info files
_BEFORE = {"before_char", "before_desc", "0"}


@dataclass(frozen=True, slots=True)
class LoreEntry:
    """One entry. `place` is where it stands in the file, `content` is without decorators and may be empty.

    `sticky`, `cooldown` and `delay` count messages. `after` and `every` count messages of the character. `secondary` is
    empty where the entry asks for no second key. `forced` and `silenced` are decorators that overrule the keys.
    """

    place: str
    name: str
    keys: tuple[str, ...]
    content: str
    enabled: bool = True
    constant: bool = False
    secondary: tuple[str, ...] = ()
    logic: str = "and_any"
    use_regex: bool = False
    case_sensitive: bool = False
    whole_words: bool = True
    before_char: bool = False
    order: int = DEFAULT_ORDER
    priority: int = DEFAULT_ORDER
    scan_depth: int | None = None
    probability: int = 100
    sticky: int = 0
    cooldown: int = 0
    delay: int = 0
    additional: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    after: int = 0
    every: int = 1
    forced: bool = False
    silenced: bool = False
    woken_by_lore: bool = True
    wakes_lore: bool = True
    only_by_lore: bool = False

    @property
    def pinned(self) -> bool:
        """Whether it is always active, and so belongs to the pinned beginning of the prompt."""
        conditions = self.probability < 100 or self.cooldown or self.delay or self.after or self.every > 1
        return self.constant and not conditions and not self.excluded and not self.silenced


@dataclass(frozen=True, slots=True)
class Lorebook:
    """A lorebook. `token_budget` 0: it names none. Only `recursive` books let a content wake other entries."""

    name: str
    entries: tuple[LoreEntry, ...]
    description: str = ""
    scan_depth: int = DEFAULT_SCAN_DEPTH
    token_budget: int = 0
    recursive: bool = False


def read_book(raw: Mapping[str, Any]) -> Lorebook:
    """Parse any of the three shapes. Values that make no sense count as missing."""
    body = body_of(raw)
    return Lorebook(
        name=text(body.get("name")).strip(),
        entries=tuple(_entry(place, entry) for place, entry in raw_entries(raw)),
        description=text(body.get("description")).strip(),
        scan_depth=_depth(find(body, "scan_depth", "scanDepth")),
        token_budget=max(0, integer(find(body, "token_budget", "tokenBudget"), 0)),
        recursive=flag(find(body, "recursive_scanning", "recursiveScanning"), False),
    )


def body_of(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object that has the entries: the file itself, its `data`, or the book of a card."""
    for place in (raw, mapping(raw.get("data"))):
        if isinstance(place.get("character_book"), Mapping):
            return mapping(place["character_book"])
        if isinstance(place.get("entries"), Mapping | list):
            return place
    return raw


def raw_entries(raw: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Place and object of every entry, in the order of the file."""
    entries = body_of(raw).get("entries")
    if isinstance(entries, Mapping):
        pairs = [(str(place), entry) for place, entry in entries.items()]
    else:
        pairs = [(str(place), entry) for place, entry in enumerate(entries if isinstance(entries, list) else [])]
    yield from ((place, entry) for place, entry in pairs[:MAX_ENTRIES] if isinstance(entry, Mapping))


def _entry(place: str, raw: Mapping[str, Any]) -> LoreEntry:
    content = decorators.split(text(raw.get("content")))
    values = content.values
    order = integer(find(raw, "insertion_order", "order"), DEFAULT_ORDER)
    selective = flag(raw.get("selective"), default="keysecondary" in raw)
    logic = integer(find(raw, "selectiveLogic", "selective_logic"), 0)
    own_depth = values.get("scan_depth", find(raw, "scan_depth", "scanDepth"))
    return LoreEntry(
        place=place,
        name=text(raw.get("name")).strip() or text(raw.get("comment")).strip(),
        keys=_keys(find(raw, "keys", "key")),
        content=content.text,
        enabled=flag(raw.get("enabled"), True) and not flag(raw.get("disable"), False),
        constant=flag(raw.get("constant"), False),
        secondary=_keys(find(raw, "secondary_keys", "keysecondary")) if selective else (),
        logic=LOGICS[logic] if 0 <= logic < len(LOGICS) else LOGICS[0],
        use_regex=flag(raw.get("use_regex"), False),
        case_sensitive=flag(find(raw, "case_sensitive", "caseSensitive"), False),
        whole_words=flag(find(raw, "match_whole_words", "matchWholeWords"), True),
        before_char=_position(raw, values) in _BEFORE,
        order=order,
        priority=integer(raw.get("priority"), order),
        scan_depth=None if own_depth is None else _depth(own_depth),
        probability=_probability(raw),
        only_by_lore=flag(find(raw, "delay_until_recursion", "delayUntilRecursion"), False),
        woken_by_lore=not flag(find(raw, "exclude_recursion", "excludeRecursion"), False),
        wakes_lore=not flag(find(raw, "prevent_recursion", "preventRecursion"), False),
        **_conditions(raw, values),
    )


def _conditions(raw: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """The conditions of activation beside the keys."""
    stays, once = (name in values for name in ("keep_activate_after_match", "dont_activate_after_match"))
    return {
        "sticky": BIGGEST if stays else max(0, integer(find(raw, "sticky"), 0)),
        "cooldown": BIGGEST if once else max(0, integer(find(raw, "cooldown"), 0)),
        "delay": max(0, integer(find(raw, "delay"), 0)),
        "additional": _keys(values.get("additional_keys")),
        "excluded": _keys(values.get("exclude_keys")),
        "after": max(0, integer(values.get("activate_only_after"), 0)),
        "every": max(1, integer(values.get("activate_only_every"), 1)),
        "forced": "activate" in values,
        "silenced": "dont_activate" in values,
    }


def _depth(value: Any) -> int:
    return max(0, min(MAX_SCAN_DEPTH, integer(value, DEFAULT_SCAN_DEPTH)))


def _keys(value: Any) -> tuple[str, ...]:
    return words(value)[:MAX_KEYS]


def _position(raw: Mapping[str, Any], values: Mapping[str, str]) -> str:
    """The position that the file names; a number in `extensions` overrules the word beside it."""
    exact = mapping(raw.get("extensions")).get("position")
    if "position" in values:
        return values["position"].casefold()
    usual = 0 if "key" in raw else ""
    return text(raw.get("position", usual) if exact is None else exact).strip().casefold()


def _probability(raw: Mapping[str, Any]) -> int:
    if not flag(find(raw, "useProbability", "use_probability"), True):
        return 100
    return max(0, min(100, integer(find(raw, "probability"), 100)))
