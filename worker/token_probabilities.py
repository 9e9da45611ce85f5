"""Why this word: what a reply's tokens had beside them, as words that people can read. Pure.

What it refuses to know: how probabilities come about (engine) and how they are shown (web). Kept with a wording when
its chat's settings ask for it (`top_n`): [{text, p, top: [[text, p], ...]}], `p` None when the word was not among the
likeliest. Tokens that are only a part of a character are joined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

TopTokens = tuple[tuple[int, float], ...]


def word_probabilities(
    tokens: Sequence[int], tops: Sequence[TopTokens], piece: Callable[[int], bytes]
) -> list[dict[str, Any]]:
    """One entry per word; empty when nothing is known about the tokens. `tops` belong to the last of the tokens."""
    written = tokens[len(tokens) - len(tops) :] if len(tops) <= len(tokens) else ()
    found: list[dict[str, Any]] = []
    waiting, likelihood, likeliest = b"", 1.0, ()  # type: tuple[bytes, float | None, TopTokens]
    for token, top in zip(written, tops, strict=False):
        if not waiting:
            likelihood, likeliest = 1.0, top
        chance = dict(top).get(token)
        likelihood = None if likelihood is None or chance is None else likelihood * chance
        waiting += piece(token)
        text = _whole(waiting)
        if text is not None:
            found.append({"text": text, "p": _short(likelihood), "top": [_shown(one, piece) for one in likeliest]})
            waiting = b""
    return found if any(tops) else []


def _shown(likely: tuple[int, float], piece: Callable[[int], bytes]) -> list[Any]:
    token, chance = likely
    return [piece(token).decode(errors="replace"), _short(chance)]


def _whole(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        incomplete = error.reason == "unexpected end of data" and len(data) < 16
        return None if incomplete else data.decode(errors="replace")


def _short(chance: float | None) -> float | None:
    return None if chance is None else round(chance, 4)
