"""Key search for lorebooks: plain words or regular expressions, with a time limit against ReDoS. Pure.

A key is a pattern when it is written `/.../flags`, or when its entry has `use_regex` and it holds signs that only have
a meaning in patterns; every other key is plain words. Patterns are untrusted: a search that times out counts as not
found, an invalid pattern is never found. Whole words: a letter next to the key makes it another word, unless one of the
two belongs to a script without spaces between words, such as Chinese. What it refuses to know: entries and books.
"""

import functools
import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import regex

TIME_LIMIT_S = 0.02  # for one key in one text
LONGEST = 500  # signs of a pattern
LONGEST_CACHED = 200  # signs of a plain key that is kept in its folded form
MAX_COMPILED = 1024  # patterns that are kept
MAX_PLACES = 2_000  # places in one text where words are looked at; behind that many that are parts of others: not found
_PLACE_LETTERS = 4_000  # what looking at a place takes, in letters that are looked through in the same time
LARGEST = 50_000  # signs of a pattern when it is written out: ((a{1000}){1000}){1000} takes all memory there is
_FLAGS = {"i": regex.IGNORECASE, "m": regex.MULTILINE, "s": regex.DOTALL}
_COUNT = regex.compile(r"\{\s*(\d{1,9})")
_ESCAPED = regex.compile(r"\\.", regex.DOTALL)
_FOREIGN = regex.compile(  # recursion, verbose mode, verbs, fuzzy counts and other things of one dialect
    r"\(\?[-ims]*(?:[^-ims:=!<>|)]|\Z)|\(\*[A-Z]|\{[\d\s+<=,]*[eids](?![a-z])[^{}]*\}", regex.IGNORECASE
)
_SIGNS = frozenset("\\^$.|?*+()[]{}")
_NO_SPACES = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Whether a key is in a text. `slow`: the search timed out, and counts as not found."""

    found: bool
    slow: bool = False


@dataclass(frozen=True, slots=True)
class WordSearchResult:
    """Whether words are in a text, and what the search cost, in letters that were looked at."""

    found: bool
    n_letters: int


def fold(text: str, case_sensitive: bool) -> str:
    """A text as keys are compared with it."""
    composed = text if text.isascii() else unicodedata.normalize("NFC", text)
    return composed if case_sensitive else composed.casefold()


def is_pattern(key: str, use_regex: bool) -> bool:
    """Whether a key is to be read as a pattern."""
    return _between_slashes(key) is not None or (use_regex and not _SIGNS.isdisjoint(key))


def broken(key_and_regex: tuple[str, bool]) -> bool:
    """Whether a key is an invalid pattern."""
    key, use_regex = key_and_regex
    return is_pattern(key, use_regex) and compiled(key, False) is None


def compiled(key: str, case_sensitive: bool) -> Any | None:
    """The pattern of a key; None when it is invalid or too long."""
    return _compiled(key, case_sensitive) if len(key) <= LONGEST + len("//gimsuvyd") else None


@functools.lru_cache(maxsize=MAX_COMPILED)
def _compiled(key: str, case_sensitive: bool) -> Any | None:
    parts = _between_slashes(key)
    pattern, letters = parts if parts else (key, "" if case_sensitive else "i")
    if _too_large(pattern) or _is_foreign(pattern) or not set(letters) <= {*_FLAGS, *"dguvy"}:
        return None
    flags = regex.VERSION0
    for letter in letters:
        flags |= _FLAGS.get(letter, 0)
    try:
        return regex.compile(pattern, flags)
    except (regex.error, ValueError, OverflowError, RecursionError, MemoryError):
        return None


def search(key: str, text: str, case_sensitive: bool) -> SearchResult:
    """Search a pattern in a text that is not folded."""
    pattern = compiled(key, case_sensitive)
    if pattern is None:
        return SearchResult(False)
    try:
        return SearchResult(pattern.search(text, timeout=TIME_LIMIT_S, concurrent=False) is not None)
    except TimeoutError:
        return SearchResult(False, slow=True)


def _folded_needle(key: str, case_sensitive: bool) -> tuple[str, bool]:
    """A folded key, and whether its script has spaces, so that whole words can be matched."""
    folded = fold(key, case_sensitive)
    return folded, _script_without_spaces().search(folded) is None


_needle = functools.lru_cache(maxsize=8192)(_folded_needle)


def contains(key: str, folded_text: str, case_sensitive: bool, whole_words: bool, start: int = 0) -> "WordSearchResult":
    """Search words in a folded text, from `start` on. Of whole words the first MAX_PLACES places are looked at."""
    word, spaced = _needle(key, case_sensitive) if len(key) <= LONGEST_CACHED else _folded_needle(key, case_sensitive)
    n_letters = len(folded_text) - start + len(key)
    if not word:
        return WordSearchResult(False, n_letters)
    for n, at in enumerate(_places(word, folded_text, start)):
        if not (whole_words and spaced) or _alone(folded_text, at, at + len(word)):
            return WordSearchResult(True, n_letters + n * _PLACE_LETTERS)
        if n == MAX_PLACES:
            return WordSearchResult(False, n_letters + n * _PLACE_LETTERS)
    return WordSearchResult(False, n_letters)


def _is_foreign(pattern: str) -> bool:
    """Whether a pattern has what only one dialect knows; an escaped backslash before it is a sign by itself."""
    return _FOREIGN.search(_ESCAPED.sub("_", pattern)) is not None


def _too_large(pattern: str) -> bool:
    counts = _COUNT.findall(pattern) if len(pattern) <= LONGEST else ()
    return len(pattern) > LONGEST or len(pattern) * math.prod(max(1, int(count)) for count in counts) > LARGEST


def _places(word: str, text: str, start: int) -> Iterator[int]:
    at = text.find(word, start)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)


def _alone(text: str, start: int, end: int) -> bool:
    """Whether no letter stands right before or behind."""
    before = start > 0 and _joins(text[start - 1], text[start])
    return not before and not (end < len(text) and _joins(text[end], text[end - 1]))


def _joins(neighbour: str, edge: str) -> bool:
    return _is_letter(neighbour) and _is_letter(edge) and not _script_without_spaces().match(neighbour)


@functools.cache
def _script_without_spaces() -> Any:
    """The pattern of one sign of a script that puts no spaces between words; compiled once, at its first use."""
    return regex.compile(_NO_SPACES)


def _is_letter(sign: str) -> bool:
    return sign == "_" or sign.isalnum()


def _between_slashes(key: str) -> tuple[str, str] | None:
    """Pattern and flags of `/pattern/flags`."""
    if not key.startswith("/") or key.count("/") < 2:
        return None
    pattern, _, letters = key[1:].rpartition("/")
    return (pattern, letters) if pattern and letters.isalpha() | (letters == "") else None
