"""Token probabilities of a reply, joined into words that people can read. Pure.

Kept with an alternative when its chat's settings ask for it (`top_n`): [{text, p, top: [[text, p], ...]}], `p` None
when the word was not among the likeliest. Tokens that are only a part of a character are joined, and their
probabilities multiplied.
What it refuses to know: how probabilities come about (engine) and how they are shown (web).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

TopTokens = tuple[tuple[int, float], ...]


def word_probabilities(
    tokens: Sequence[int], tops: Sequence[TopTokens], piece: Callable[[int], bytes]
) -> list[dict[str, Any]]:
    """One entry per word; empty when nothing is known about the tokens. `tops` belong to the last of the tokens."""
    covered = tokens[len(tokens) - len(tops) :] if len(tops) <= len(tokens) else ()
    result: list[dict[str, Any]] = []
    pending = b""  # bytes of an incomplete character
    probability: float | None = 1.0
    likeliest: TopTokens = ()
    for token, top in zip(covered, tops, strict=False):
        if not pending:
            probability, likeliest = 1.0, top
        p = dict(top).get(token)
        probability = None if probability is None or p is None else probability * p
        pending += piece(token)
        text = _complete(pending)
        if text is not None:
            top_texts = [_text_and_p(candidate, piece) for candidate in likeliest]
            result.append({"text": text, "p": _rounded(probability), "top": top_texts})
            pending = b""
    return result if any(tops) else []


def _text_and_p(candidate: tuple[int, float], piece: Callable[[int], bytes]) -> list[Any]:
    token, p = candidate
    return [piece(token).decode(errors="replace"), _rounded(p)]


def _complete(data: bytes) -> str | None:
    """The text of these bytes; None while they end within a character."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        incomplete = error.reason == "unexpected end of data" and len(data) < 16
        return None if incomplete else data.decode(errors="replace")


def _rounded(p: float | None) -> float | None:
    return None if p is None else round(p, 4)
