"""Passages: a few sentences of a message or a note around what was asked for, scored by BM25. Pure.

What it refuses to know: where texts come from, and how often terms occur in a story (recall.py hands both down).
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise

from store.search.terms import terms_of

LETTERS = 320  # of a passage, about; a Chinese character counts as three
_EAST_LETTERS = 3
_SCORED = 400  # passages of a text at most, the first with what was asked for
_K1, _B, _MEAN_TERMS = 1.2, 0.5, 30
_QUESTION, ANSWER = 0.6, 1.35  # times the score: who asks the same has no answer; what looks like one may be it
_IS_QUESTION = re.compile(r"[^.!。！…]*[?？][^.!。！…]*")
_SENTENCE = re.compile(r"[^.!?。！？…\n]*(?:[.!?。！？…]+[\"”’」』）)*]*|\n|$)")
_MARKUP = re.compile(r"<[^<>]{0,200}>|!?\[([^\][]{0,200})\]\([^()\s]{0,400}\)|[*_`#~|]+|^\s*>", re.MULTILINE)
_EAST = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]")


@dataclass(frozen=True)
class Cut:
    """A passage of a text: `text[start:end]`, its score, and what the terms in it count together, however often."""

    start: int
    end: int
    score: float
    covered: float


def best_cut(
    text: str, worth: Mapping[str, float], letters: int = LETTERS, kinds: Sequence[re.Pattern[str]] = ()
) -> Cut | None:
    """The passage with the highest score; `worth`: what each term that was asked for counts, `kinds`: what an answer
    looks like. None without any term."""
    stands = [(term.start, term.word) for term in terms_of(text)]
    if not any(word in worth for _, word in stands):
        return None
    hits = [place for place, word in stands if word in worth]
    windows = _windows(text, letters)
    near = list(islice((one for one in windows if bisect_left(hits, one[0]) < bisect_left(hits, one[1])), _SCORED))
    cuts = [_scored(text, start, end, stands, worth, kinds) for start, end in near]
    return max(cuts, key=lambda cut: (cut.score, -cut.start))


def cleaned(text: str) -> str:
    """A passage as plain text on one line, without emphasis, links and HTML."""
    return " ".join(_MARKUP.sub(lambda found: found[1] or "", text).split())


def _windows(text: str, letters: int) -> Iterator[tuple[int, int]]:
    """From each sentence on as many as are about as long as a passage; a short text is one passage."""
    sentences = list(_sentences(text, letters))
    marks = [place for sentence in sentences for place in sentence]
    pieces = (_size(text[place:further]) for place, further in pairwise(marks))
    sizes = list(accumulate(pieces, initial=0))  # of the text up to each mark: two marks are a sentence
    last = 0
    for n, (start, _) in enumerate(sentences):
        last = max(last, n)
        while last + 1 < len(sentences) and sizes[2 * last + 3] - sizes[2 * n] <= letters:
            last += 1
        yield start, sentences[last][1]
        if last + 1 == len(sentences):
            return


def _sentences(text: str, letters: int) -> Iterator[tuple[int, int]]:
    """Where sentences begin and end; one without an end is cut where a passage is full."""
    most = max(1, letters // (_EAST_LETTERS if _EAST.search(text) else 1))
    for found in _SENTENCE.finditer(text):
        start, end = found.span()
        for place in range(start, end, most):
            if text[place : min(end, place + most)].strip():
                yield place, min(end, place + most)


def _scored(
    text: str,
    start: int,
    end: int,
    stands: Sequence[tuple[int, str]],
    worth: Mapping[str, float],
    kinds: Sequence[re.Pattern[str]],
) -> Cut:
    inside = [word for _, word in stands[bisect_left(stands, (start, "")) : bisect_left(stands, (end, ""))]]
    times: dict[str, int] = {}
    for word in inside:
        if word in worth:
            times[word] = times.get(word, 0) + 1
    length = _K1 * (1 - _B + _B * len(inside) / _MEAN_TERMS)
    score = sum(worth[word] * n * (_K1 + 1) / (n + length) for word, n in times.items())
    said = text[start:end]
    factor = ANSWER if any(kind.search(said) for kind in kinds) else 1.0
    factor *= _QUESTION if _IS_QUESTION.fullmatch(said) else 1.0
    return Cut(start, end, score * factor, sum(worth[word] for word in times) * factor)


def _size(text: str) -> int:
    return len(text) + (_EAST_LETTERS - 1) * len(_EAST.findall(text))
