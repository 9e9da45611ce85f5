"""Which entries of lorebooks wake: `activate`. Pure: texts and what was remembered in, entries out.

How: an entry wakes when one of its keys is in the last messages (as many as its scan depth says), and its second keys,
its probability and its decorators agree. It stays awake for `sticky` messages, and sleeps for `cooldown` after that.
Messages are counted by `ordinal`, that of the reply to come. What was remembered at that ordinal or later belongs to a
reply that is being written again and does not count, so a retry finds what the first try found.
What it refuses to know: tokens (the caller brings `cost`), where an entry stands in a prompt, and pinned entries beyond
what they wake. To add a condition: add it to `_allowed`.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from store.lore import patterns
from store.lore.book import Lorebook, LoreEntry

MAX_ROUNDS = 4  # how often lore may wake more lore
PATTERNS_S = 0.1  # for all patterns of one activation together: the rest counts as not found


@dataclass(frozen=True, slots=True)
class MatchContext:
    """What is looked at: texts, newest first; the reply's ordinal; how often the character has spoken.

    `woke`: the ordinals at which an entry woke, by its key. `roll`: 0 to 99 for an entry, always the same for the same
    reply. `spell` resolves the macros of a key.
    """

    texts: Sequence[str]
    ordinal: int
    n_replies: int = 0
    activated_at: Mapping[str, Sequence[int]] = field(default_factory=dict)
    roll: Callable[[str], int] = lambda key: 0
    expand_macros: Callable[[str], str] = lambda key: key


@dataclass(frozen=True, slots=True)
class ActivatedEntry:
    """An entry that is awake. `key` names it for ever; `why`: "key", "sticky", "always" or "lore"; `by`: the key."""

    key: str
    book: str
    entry: LoreEntry
    why: str
    by: str = ""

    @property
    def newly_activated(self) -> bool:
        """Whether it woke now, and was not just still awake."""
        return self.why != "sticky"


@dataclass(frozen=True, slots=True)
class Activation:
    """What is told, in the order of insertion; what had no room; the keys whose search took too long."""

    inserted: tuple[ActivatedEntry, ...]
    over_budget: tuple[ActivatedEntry, ...] = ()
    slow: tuple[str, ...] = ()


def activate(
    books: Mapping[str, Lorebook],
    context: MatchContext,
    cost: Callable[[LoreEntry], int] = lambda entry: 0,
    budget: int = 1,
) -> Activation:
    """The entries of these books (by their ids) that are told before the next reply, within `budget` tokens."""
    scan = _Scan(context)
    awake = [found for book_id, book in books.items() for found in _awake(book_id, book, scan)]
    unique = {(found.entry.content): found for found in reversed(awake)}  # one content is told once
    awake = [found for found in awake if unique[found.entry.content] is found]
    budgets = {book_id: book.token_budget for book_id, book in books.items() if book.token_budget}
    kept = _affordable(awake, cost, budget, budgets)
    told = sorted((found for found in awake if found.key in kept), key=lambda found: found.entry.order)
    return Activation(tuple(told), tuple(found for found in awake if found.key not in kept), tuple(scan.slow))


def entry_key(book_id: str, entry: LoreEntry) -> str:
    """The name of an entry among all books."""
    return f"{book_id}/{entry.place}"


class _Scan:
    """The texts in the forms in which they are searched, made once; and how long patterns have taken."""

    def __init__(self, context: MatchContext) -> None:
        self.context = context
        self.slow: list[str] = []
        self._texts: dict[tuple[int, str], str] = {}
        self._folded: dict[tuple[int, str, bool], str] = {}
        self._left_s = PATTERNS_S

    def found(self, keys: Iterable[str], entry: LoreEntry, depth: int, lore: str) -> Iterator[str]:
        """Those of the keys that are in the last `depth` messages or in the lore that is awake."""
        for key in keys:
            spelled = self.context.expand_macros(key)
            if patterns.is_pattern(spelled, entry.use_regex):
                there = self._matches(key, spelled, self._text(depth, lore), entry.case_sensitive)
            else:
                text = self._fold(depth, lore, entry.case_sensitive)
                there = patterns.contains(spelled, text, entry.case_sensitive, entry.whole_words)
            if there:
                yield key

    def _text(self, depth: int, lore: str) -> str:
        if (depth, lore) not in self._texts:
            self._texts[depth, lore] = "\n".join([*self.context.texts[:depth][::-1], lore])
        return self._texts[depth, lore]

    def _fold(self, depth: int, lore: str, case_sensitive: bool) -> str:
        place = depth, lore, case_sensitive
        if place not in self._folded:
            self._folded[place] = patterns.fold(self._text(depth, lore), case_sensitive)
        return self._folded[place]

    def _matches(self, key: str, spelled: str, text: str, case_sensitive: bool) -> bool:
        if self._left_s <= 0:
            self.slow.append(key)
            return False
        began = time.perf_counter()
        found = patterns.search(spelled, text, case_sensitive)
        self._left_s -= time.perf_counter() - began
        if found.slow:
            self.slow.append(key)
        return found.there


def _awake(book_id: str, book: Lorebook, scan: _Scan) -> list[ActivatedEntry]:
    """All of one book that are awake but not pinned, each once; lore wakes lore where the book asks for it."""
    able = [entry for entry in book.entries if entry.enabled and entry.content]
    waiting = [entry for entry in able if not entry.pinned]
    lore = "\n".join(entry.content for entry in able if entry.pinned and entry.wakes_lore) if book.recursive else ""
    awake: list[ActivatedEntry] = []
    for n_round in range(MAX_ROUNDS if book.recursive else 1):
        in_lore = lore if n_round else ""
        new = [found for entry in waiting if (found := _woken(book_id, book, entry, scan, in_lore, n_round))]
        awake += new
        told = {found.entry.place for found in awake}
        waiting = [entry for entry in waiting if entry.place not in told]
        lore = "\n".join([lore, *(found.entry.content for found in new if found.entry.wakes_lore)])
        if not lore or (n_round and not new):
            break
    return awake


def _woken(
    book_id: str, book: Lorebook, entry: LoreEntry, scan: _Scan, lore: str, n_round: int
) -> ActivatedEntry | None:
    context, key = scan.context, entry_key(book_id, entry)
    if (n_round and not entry.woken_by_lore) or (not n_round and entry.only_by_lore):
        return None
    last = max((at for at in context.activated_at.get(key, ()) if at < context.ordinal), default=None)
    if last is not None and context.ordinal <= last + entry.sticky:
        return ActivatedEntry(key, book.name, entry, "sticky")
    if last is not None and context.ordinal <= last + entry.sticky + entry.cooldown:
        return None
    if not _allowed(entry, context):
        return None
    depth = book.scan_depth if entry.scan_depth is None else entry.scan_depth
    by = _key_found(entry, scan, depth, lore)
    if by is None or (entry.probability < 100 and context.roll(key) >= entry.probability):
        return None
    why = "lore" if n_round else "always" if entry.constant or entry.forced else "key"
    return ActivatedEntry(key, book.name, entry, why, by)


def _allowed(entry: LoreEntry, context: MatchContext) -> bool:
    """Whether its moment has come, whatever its keys say."""
    if entry.silenced or context.ordinal < entry.delay or context.n_replies < entry.after:
        return False
    return context.n_replies % entry.every == 0


def _key_found(entry: LoreEntry, scan: _Scan, depth: int, lore: str) -> str | None:
    """The key that wakes it, empty when it needs none; None when it sleeps on."""

    def any_of(keys: Sequence[str]) -> str | None:
        return next(scan.found(keys, entry, depth, lore), None)

    if entry.excluded and any_of(entry.excluded) is not None:
        return None
    if entry.forced or entry.constant:
        return ""
    by = any_of(entry.keys)
    if by is None or (entry.additional and any_of(entry.additional) is None):
        return None
    return by if not entry.secondary or _second_keys_agree(entry, scan, depth, lore) else None


def _second_keys_agree(entry: LoreEntry, scan: _Scan, depth: int, lore: str) -> bool:
    n_found = sum(1 for _ in scan.found(entry.secondary, entry, depth, lore))
    n_keys = len(entry.secondary)
    agree = {"and_any": n_found > 0, "not_all": n_found < n_keys, "not_any": n_found == 0, "and_all": n_found == n_keys}
    return agree[entry.logic]


def _affordable(
    awake: Sequence[ActivatedEntry], cost: Callable[[LoreEntry], int], budget: int, budgets: Mapping[str, int]
) -> set[str]:
    """Keys of those that fit: the highest priority first, then what is inserted last."""
    left, kept = {**budgets}, set()
    for found in sorted(awake, key=lambda found: (-found.entry.priority, -found.entry.order)):
        book_id, n_tokens = found.key.partition("/")[0], cost(found.entry)
        if n_tokens <= min(budget, left.get(book_id, budget)):
            budget -= n_tokens
            left |= {book_id: left[book_id] - n_tokens} if book_id in left else {}
            kept.add(found.key)
    return kept
