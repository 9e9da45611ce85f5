"""Tokenizer of the search: a text becomes terms with their places, a query becomes phrases of such terms.

What it does: words are compared without case and width, English ones by their stem (Snowball); a run of Chinese,
Japanese or Korean becomes its bigrams and its last character alone, so that one character finds something too.
What it refuses to know: databases. Both use these terms as they are, so both find the same.
To change what a term is: raise nothing, but let a migration set `messages.indexed` back, or old texts keep old terms.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import snowballstemmer

MAX_TERMS, MAX_BYTES = 16_000, 900_000  # of one message: PostgreSQL counts places up to 16,383, in 1 MB
MAX_LETTERS = 100_000  # of one message: what a search reads of it again
MAX_QUERY, MAX_PHRASES = 200, 12
_MAX_WORD, _PLACE_BYTES = 64, 8  # letters; what PostgreSQL needs beside a word, at most
_EAST = "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_EAST}]+|[^\W_{_EAST}]+(?:['’][^\W_{_EAST}]+)*")
_IS_EAST = re.compile(rf"[{_EAST}]")
QUOTATION_MARKS = '"“”„«»「」'
_QUOTED = re.compile(rf"[{QUOTATION_MARKS}](.*?)[{QUOTATION_MARKS}]|([^{QUOTATION_MARKS}]+)", re.DOTALL)
_english = snowballstemmer.stemmer("english")


@dataclass(frozen=True)
class Term:
    """One term and where it stands in its text: `text[start:end]`."""

    word: str
    start: int
    end: int


@dataclass(frozen=True)
class Phrase:
    """Terms that must follow each other. `is_prefix`: its only term is the beginning of one (a single character)."""

    words: tuple[str, ...]
    is_prefix: bool = False


def terms_of(text: str) -> Iterator[Term]:
    """The first terms of a text, in their order: of MAX_LETTERS letters, MAX_TERMS of them, MAX_BYTES together."""
    room = MAX_BYTES
    for term in islice(_terms(text[:MAX_LETTERS]), MAX_TERMS):
        room -= len(term.word.encode()) + _PLACE_BYTES
        if room < 0:
            return
        yield term


def phrases_of(query: str) -> tuple[Phrase, ...]:
    """What a query asks for, all of it: each word, and what stands in quotation marks as a whole."""
    found = []
    for quoted, plain in _QUOTED.findall(query[:MAX_QUERY]):
        parts = [quoted] if quoted else _WORD.findall(plain)
        found += [phrase for part in parts if (phrase := _phrase(part))]
    return tuple(dict.fromkeys(found))[:MAX_PHRASES]


def places_of(phrases: Sequence[Phrase], terms: Sequence[Term]) -> list[tuple[int, int]] | None:
    """Where the phrases stand in a text, in order; None unless each of them is there."""
    found = []
    for phrase in phrases:
        places = list(_places(phrase, terms))
        if not places:
            return None
        found += places
    return sorted(found)


def _places(phrase: Phrase, terms: Sequence[Term]) -> Iterator[tuple[int, int]]:
    first, length = phrase.words[0], len(phrase.words)
    for n, term in enumerate(terms):
        if phrase.is_prefix:
            if term.word.startswith(first):
                yield term.start, term.start + 1
        elif term.word == first and tuple(one.word for one in terms[n : n + length]) == phrase.words:
            yield term.start, terms[n + length - 1].end


def _phrase(text: str) -> Phrase | None:
    terms = list(_terms(text))
    if not terms:
        return None
    is_alone = len(terms) == 1 and terms[0].end - terms[0].start == 1 and bool(_IS_EAST.match(terms[0].word))
    if len(terms) > 1 and _IS_EAST.match(terms[-1].word):
        terms = terms[:-1]  # the last character alone: in the text, more may follow it
    return Phrase(tuple(term.word for term in terms), is_alone)


def _terms(text: str) -> Iterator[Term]:
    for found in _WORD.finditer(text):
        start, end = found.span()
        if _IS_EAST.match(text, start):
            for place in range(start, end):
                after = min(place + 2, end)
                yield Term(_plain(text[place:after]), place, after)
        elif word := _stem(found[0][:_MAX_WORD]):
            yield Term(word, start, end)


@lru_cache(65_536)
def _stem(word: str) -> str:
    plain = unicodedata.normalize("NFKC", word).casefold().replace("’", "'")
    if plain.isascii():
        plain = str(_english.stemWord(plain))
    return "".join(letter for letter in plain if letter.isalnum())[:_MAX_WORD]  # one sign may have become many letters


@lru_cache(65_536)
def _plain(characters: str) -> str:
    return unicodedata.normalize("NFKC", characters)
