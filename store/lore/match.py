"""Lorebook matching: `activate` chooses the entries that come into the prompt. Pure.

An entry is activated when one of its keys is in the last messages (as many as its scan depth says), and its secondary
keys, its probability and its decorators agree. It stays active for `sticky` messages, and is then inactive for
`cooldown`. Messages are counted by `ordinal`, that of the reply to come. Activations at that ordinal or later belong to
a reply that is being retried and are ignored, so a retry finds what the first try found.
Everything that grows with a file or a chat is bounded: the letters that are scanned, those that all keys look through
together, the time of all patterns. A key beyond that counts as not found and is named in `slow`.
What it refuses to know: tokens (the caller passes `cost`), where an entry stands in a prompt, and pinned entries,
except that they can activate other ones. To add a condition: `_allowed` here, and its field (see book.py).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from store.lore import patterns
from store.lore.book import Lorebook, LoreEntry
from store.lore.scanned_texts import MAX_SCANNED, ScannedTexts

MAX_ROUNDS = 4  # of entries whose contents activate further entries
PATTERNS_S = 0.1  # time limit of all patterns of one activation together; later ones count as not found
MAX_SEARCHED = 1_000_000_000  # letters that plain keys of one activation look through together, under half a second


@dataclass(frozen=True, slots=True)
class MatchContext:
    """What the keys are matched against: texts, newest first; the reply's ordinal; the replies so far.

    `activated_at`: the ordinals of earlier activations, by entry key. `roll`: 0 to 99 for an entry, constant for the
    same reply. `expand_macros` replaces the macros in a key.
    """

    texts: Sequence[str]
    ordinal: int
    n_replies: int = 0
    activated_at: Mapping[str, Sequence[int]] = field(default_factory=dict)
    roll: Callable[[str], int] = lambda key: 0
    expand_macros: Callable[[str], str] = lambda key: key


@dataclass(frozen=True, slots=True)
class ActivatedEntry:
    """An active entry. `key`: its id among all books; `why`: "key", "sticky", "always" or "lore"; `by`: the key
    found."""

    key: str
    book: str
    entry: LoreEntry
    why: str
    by: str = ""

    @property
    def newly_activated(self) -> bool:
        """Whether it was activated by this call, and is not just still active."""
        return self.why != "sticky"


@dataclass(frozen=True, slots=True)
class Activation:
    """Entries for the prompt, in the order of insertion; those over the budget; keys whose search timed out."""

    inserted: tuple[ActivatedEntry, ...]
    over_budget: tuple[ActivatedEntry, ...] = ()
    slow: tuple[str, ...] = ()


def activate(
    books: Mapping[str, Lorebook],
    context: MatchContext,
    cost: Callable[[LoreEntry], int] = lambda entry: 0,
    budget: int = 1,
) -> Activation:
    """The entries of these books (by id) that come into the prompt of the next reply, within `budget` tokens."""
    scan = _Scan(context)
    activated = [found for book_id, book in books.items() for found in _activated(book_id, book, scan)]
    unique = {(found.entry.content): found for found in reversed(activated)}  # equal contents are inserted once
    activated = [found for found in activated if unique[found.entry.content] is found]
    budgets = {book_id: book.token_budget for book_id, book in books.items() if book.token_budget}
    affordable = _affordable(activated, cost, budget, budgets)
    inserted = sorted((found for found in activated if found.key in affordable), key=lambda found: found.entry.order)
    return Activation(
        tuple(inserted), tuple(found for found in activated if found.key not in affordable), tuple(scan.slow)
    )


def entry_key(book_id: str, entry: LoreEntry) -> str:
    """The id of an entry among all books."""
    return f"{book_id}/{entry.place}"


class _Scan:
    """The searches of one activation: in the texts and in active lore; what may still be searched."""

    def __init__(self, context: MatchContext) -> None:
        self.context = context
        self.slow: list[str] = []
        self._texts = ScannedTexts(context.texts)
        self._left_s, self._left_letters = PATTERNS_S, MAX_SEARCHED
        self._lore, self._folded_lore = "", {False: "", True: ""}

    def found(self, keys: Iterable[str], entry: LoreEntry, depth: int, lore: str) -> Iterator[str]:
        """Those of the keys that are in the last `depth` messages or in active lore."""
        for key in keys:
            expanded = self.context.expand_macros(key)
            if patterns.is_pattern(expanded, entry.use_regex):
                is_found = self._matches(key, expanded, depth, lore, entry.case_sensitive)
            else:
                is_found = self._contains(key, expanded, entry, depth, lore)
            if is_found:
                yield key

    def _contains(self, key: str, word: str, entry: LoreEntry, depth: int, lore: str) -> bool:
        text, start = self._texts.folded(depth, entry.case_sensitive)
        return any(
            self._is_in(key, word, entry, *place)
            for place in ((text, start), (self._fold(lore, entry.case_sensitive), 0))
        )

    def _is_in(self, key: str, word: str, entry: LoreEntry, text: str, start: int) -> bool:
        if self._left_letters <= 0:
            self.slow.append(key)
            return False
        result = patterns.contains(word, text, entry.case_sensitive, entry.whole_words, start)
        self._left_letters -= result.n_letters
        return result.found

    def _fold(self, lore: str, case_sensitive: bool) -> str:
        if lore != self._lore:
            self._lore, self._folded_lore = lore, {strict: patterns.fold(lore, strict) for strict in (False, True)}
        return self._folded_lore[case_sensitive]

    def _matches(self, key: str, expanded: str, depth: int, lore: str, case_sensitive: bool) -> bool:
        if self._left_s <= 0:
            self.slow.append(key)
            return False
        began = time.perf_counter()
        result = patterns.search(expanded, "\n".join((self._texts.plain(depth), lore)), case_sensitive)
        self._left_s -= time.perf_counter() - began
        if result.slow:
            self.slow.append(key)
        return result.found


def _activated(book_id: str, book: Lorebook, scan: _Scan) -> list[ActivatedEntry]:
    """The active entries of one book except pinned ones; a recursive book matches their contents, too."""
    usable = [entry for entry in book.entries if entry.enabled and entry.content]
    inactive = [entry for entry in usable if not entry.pinned]
    pinned = (entry.content for entry in usable if entry.pinned and entry.wakes_lore)
    lore = "\n".join(pinned)[:MAX_SCANNED] if book.recursive else ""
    activated: list[ActivatedEntry] = []
    for n_round in range(MAX_ROUNDS if book.recursive else 1):
        in_lore = lore if n_round else ""
        new = [found for entry in inactive if (found := _activation_of(book_id, book, entry, scan, in_lore, n_round))]
        activated += new
        places = {found.entry.place for found in activated}
        inactive = [entry for entry in inactive if entry.place not in places]
        lore = "\n".join([lore, *(found.entry.content for found in new if found.entry.wakes_lore)])[:MAX_SCANNED]
        if not lore or (n_round and not new):
            break
    return activated


def _activation_of(
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
    """Whether the conditions beside the keys are met."""
    if entry.silenced or context.ordinal < entry.delay or context.n_replies < entry.after:
        return False
    return context.n_replies % entry.every == 0


def _key_found(entry: LoreEntry, scan: _Scan, depth: int, lore: str) -> str | None:
    """The key that activates the entry, empty when it needs none; None when it stays inactive."""

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
    activated: Sequence[ActivatedEntry], cost: Callable[[LoreEntry], int], budget: int, budgets: Mapping[str, int]
) -> set[str]:
    """Keys of the entries within the budgets: by priority, then those inserted last first."""
    left, affordable = {**budgets}, set()
    for found in sorted(activated, key=lambda found: (-found.entry.priority, -found.entry.order)):
        book_id, n_tokens = found.key.partition("/")[0], cost(found.entry)
        if n_tokens <= min(budget, left.get(book_id, budget)):
            budget -= n_tokens
            left |= {book_id: left[book_id] - n_tokens} if book_id in left else {}
            affordable.add(found.key)
    return affordable
