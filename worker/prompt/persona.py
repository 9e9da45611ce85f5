"""The persona: the pinned beginning of every prompt, from a card. Pure: a card in, text out.

The text must come out the same for the same card and chat every time, to the letter, because it is never read again. So
macros that change with time are bound to the chat: the clock stands at its beginning, dice are seeded with its id. A
paragraph with one of them is not shared between chats. Macros of messages ({{lastMessage}}) are removed.
What it refuses to know: tokens, windows, messages.
To add a part of the card: a line in `_paragraphs`. Every chat with such a card is then read again once.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from store import chat_macros, macros

SYSTEM_PROMPT = (
    "You are {{char}}, talking with another person. Stay in character and answer as {{char}} would: "
    "a few vivid sentences, speech as plain text, actions between *asterisks*. "
    "Never decide what the other person says or does."
)

MAX_EXAMPLES = 200
_NOBODY = "somebody else, whose name is no name"
_START = re.compile(r"<START>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cast:
    """The two who talk, as macros need them: their names, and the description of the person.

    `seed` is the chat's id, `since` its beginning in seconds. `anonymous`: a made-up cast that shows which paragraphs
    differ between chats.
    """

    char: str
    user: str
    persona: str = ""
    seed: str = ""
    since: float = 0.0
    anonymous: bool = False


def macro_context(cast: Cast, card: Mapping[str, Any]) -> macros.MacroContext:
    """What the macros of a chat stand for; for many texts, so that the texts of the card are resolved once."""
    volatile_as = _NOBODY if cast.anonymous else None
    context = macros.MacroContext(now=cast.since, seed=cast.seed, deterministic=True, volatile_as=volatile_as)
    texts = chat_macros.card_macros(card, cast.char, cast.user, context)
    texts["persona"] = functools.cache(
        lambda: macros.resolve(
            cast.persona.strip(), char=cast.char, user=cast.user, context=context, keep_unknown=False
        )
    )
    return replace(context, texts=texts)


def resolve(
    text: str, cast: Cast, card: Mapping[str, Any], original: str = "", context: macros.MacroContext | None = None
) -> str:
    """`text` with its macros replaced, the same every time for one chat; unknown macros are removed.

    `context`: that of the cast and the card (`macro_context`), for callers with many texts.
    """
    if not macros.may_be_in(text):
        return text
    known = context or macro_context(cast, card)
    return macros.resolve(text, char=cast.char, user=cast.user, original=original, context=known, keep_unknown=False)


def card_text(card: Mapping[str, Any], name: str) -> str:
    """A text field of a card; anything that is not a text counts as empty."""
    value = card.get(name)
    return value.strip() if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class ConstantTexts:
    """Constant lore: of the card's own lorebook, before and after the description, and of the chat's lorebooks."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    chat: tuple[str, ...] = ()


def persona_texts(card: Mapping[str, Any], cast: Cast, lore: ConstantTexts = ConstantTexts()) -> tuple[str, str]:
    """System prompt, description, personality, scenario and the person's own description, macros resolved.

    In two pieces: the first is the same in every chat with this character (it names nobody), so the engine reads it
    once for all of them; the second begins at the first paragraph that differs between chats.
    """
    paragraphs = _paragraphs(card, cast, lore)
    others = _paragraphs(card, Cast(cast.char, _NOBODY, _NOBODY, anonymous=True), replace(lore, chat=()))
    pairs = enumerate(zip(paragraphs, others, strict=False))
    n_shared = next((n for n, (paragraph, other) in pairs if paragraph != other), len(others))
    shared, own = "\n\n".join(paragraphs[:n_shared]), "\n\n".join(paragraphs[n_shared:])
    return shared, f"\n\n{own}" if shared and own else own


def _paragraphs(card: Mapping[str, Any], cast: Cast, lore: ConstantTexts) -> list[str]:
    context = macro_context(cast, card)
    default_prompt = resolve(SYSTEM_PROMPT, cast, card, context=context)
    parts = [
        card_text(card, "system_prompt") or SYSTEM_PROMPT,
        *lore.before,
        card_text(card, "description"),
        _labelled("{{char}}'s personality", card_text(card, "personality")),
        _labelled("Scenario", card_text(card, "scenario")),
        *lore.after,
        *lore.chat,
        _labelled("About {{user}}", cast.persona.strip()),
    ]
    resolved = (resolve(part, cast, card, default_prompt, context).strip() for part in parts)
    return [part for part in resolved if part]


def example_texts(card: Mapping[str, Any], cast: Cast) -> tuple[str, ...]:
    """The blocks of example dialogue between the <START> marks, macros resolved, empty ones left out.

    At most MAX_EXAMPLES; all share one budget of macros.
    """
    context = replace(macro_context(cast, card), budget=macros.MacroBudget())
    written = _START.split(card_text(card, "mes_example"))[:MAX_EXAMPLES]
    blocks = (resolve(block, cast, card, context=context).strip() for block in written)
    return tuple(f"An example of how {cast.char} talks:\n{block}" for block in blocks if block)


def _labelled(label: str, text: str) -> str:
    return f"{label}: {text}" if text else ""
