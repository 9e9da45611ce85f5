"""Token probabilities of a reply, joined into words that people can read. Pure.

Kept with an alternative when its chat's settings ask for it (`top_n`): [{text, p, top: [[text, p], ...]}], `p` None
when the word was not among the likeliest. Tokens that are only a part of a character are joined, and their
probabilities multiplied.
What it refuses to know: how probabilities come about (engine) and how they are shown (web).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

MOST_WORDS = 4_000  # that are kept with an alternative; what grows further forgets its oldest ones
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


def grown_words(
    before: str, known: Sequence[Mapping[str, Any]], text: str, words: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The words of a reply that grew: of `before`, as far as they are known, and of the `text` behind it.

    What nothing is known about is one entry, with `p` None and an empty `top`; nothing known at all: no entry.
    """
    if not known and not words:
        return []
    grown = [*(known or unknown_words(before)), *(words or unknown_words(text))]
    n_old = max(0, len(grown) - MOST_WORDS)
    return [*unknown_words("".join(word["text"] for word in grown[:n_old])), *grown[n_old:]]


def words_spelling(text: str, known: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The words of `text`, which was taken from `known` up to one, and has another one in its place.

    Empty where it was not: `text` spells none of the known words.
    """
    spelled: list[Mapping[str, Any]] = []
    rest = text
    for word in known:
        shown = word["text"] if spelled else word["text"].lstrip()
        if not rest.startswith(shown) or rest == shown:
            break
        spelled.append({**word, "text": shown})
        rest = rest[len(shown) :]
    if not known[len(spelled) :]:
        return [*spelled, *unknown_words(rest)] if spelled else []
    top = known[len(spelled)]["top"]
    chosen = next((p for other, p in top if (other if spelled else other.lstrip()) == rest), None)
    return [*spelled, {"text": rest, "p": chosen, "top": top}] if spelled or chosen is not None else []


def unknown_words(text: str) -> list[dict[str, Any]]:
    """The entry of a text about whose words nothing was kept."""
    return [{"text": text, "p": None, "top": []}] if text else []


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
