"""Excerpts (snippets): a piece of a text around the first place where a query was found, with all places marked.

What it refuses to know: HTML. An excerpt is a list of pieces, each with whether it was found.
"""

from collections.abc import Iterator, Sequence

BEFORE, LENGTH = 50, 180
Piece = tuple[str, bool]


def excerpt(text: str, places: Sequence[tuple[int, int]]) -> tuple[Piece, ...]:
    """The pieces of an excerpt; `places` in order, the first one within it. No places: the beginning of the text."""
    first = places[0][0] if places else 0
    start = _word_begin(text, max(0, first - BEFORE), first)
    end = min(len(text), start + LENGTH)
    pieces = [("…", False)] if start else []
    pieces += [
        (" ".join(f"|{piece}|".split())[1:-1], found) for piece, found in _cut(text, start, end, places) if piece
    ]
    return tuple(pieces + ([("…", False)] if end < len(text) else []))


def _cut(text: str, start: int, end: int, places: Sequence[tuple[int, int]]) -> Iterator[Piece]:
    done = start
    for begin, after in places:
        if begin >= end or after <= done:
            continue
        yield text[done : max(done, begin)], False
        yield text[max(done, begin) : min(after, end)], True
        done = min(after, end)
    yield text[done:end], False


def _word_begin(text: str, place: int, limit: int) -> int:
    """The beginning of the next word behind `place`, if that is near."""
    if place == 0:
        return 0
    space = text.find(" ", place, min(limit, place + 15))
    return space + 1 if space >= 0 else place
