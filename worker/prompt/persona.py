"""The words that stand at the front of every prompt: who the character is. Pure: a card in, text out.

It refuses to know tokens, windows and other messages. The text must come out the same for the same card and chat
every time, to the letter: it is the pinned start of the session.
So macros that move by themselves go by the chat: the clock stands at its beginning, the dice fall by its id. A
paragraph with one of them is one's own, for it differs between chats. Macros of messages ({{lastMessage}}) are removed.
To add a part of the card: add a line to `_paragraphs`, and mind that every chat with that character is then read
again.
"""

from __future__ import annotations

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

_SOMEBODY = "somebody else, whose name is no name"
_START = re.compile(r"<START>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays: the names and the person's own description, as macros need them.

    `seed` is the chat's id, `since` its beginning in seconds. `anybody`: somebody made up, to see what would differ.
    """

    char: str
    user: str
    persona: str = ""
    seed: str = ""
    since: float = 0.0
    anybody: bool = False


def resolve(text: str, cast: Cast, card: Mapping[str, Any], original: str = "") -> str:
    """`text` with its macros replaced, the same every time for one chat; unknown macros are removed."""
    still = _SOMEBODY if cast.anybody else None
    scene = macros.MacroContext(now=cast.since, seed=cast.seed, deterministic=True, volatile_as=still)
    about = chat_macros.card_macros(card, cast.char, cast.user, scene)
    about["persona"] = lambda: macros.resolve(
        cast.persona.strip(), char=cast.char, user=cast.user, context=scene, keep_unknown=False
    )
    scene = replace(scene, texts=about)
    return macros.resolve(text, char=cast.char, user=cast.user, original=original, context=scene, keep_unknown=False)


def card_text(card: Mapping[str, Any], name: str) -> str:
    """A text field of a card; anything that is not a text counts as empty."""
    value = card.get(name)
    return value.strip() if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class ConstantTexts:
    """Lore that is always told: the card's own before and after what it says of the character, and the chat's."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    chat: tuple[str, ...] = ()


def persona_texts(card: Mapping[str, Any], cast: Cast, lore: ConstantTexts = ConstantTexts()) -> tuple[str, str]:
    """System prompt, description, personality, scenario and the person's own description, macros resolved.

    In two pieces: the first is the same for everybody who talks to this character (it names nobody), so the engine
    reads it once for all of them; the second begins where the person or a lorebook of the chat comes in.
    """
    mine = _paragraphs(card, cast, lore)
    others = _paragraphs(card, Cast(cast.char, _SOMEBODY, _SOMEBODY, anybody=True), replace(lore, chat=()))
    n_shared = next((n for n, (one, other) in enumerate(zip(mine, others, strict=False)) if one != other), len(others))
    shared, own = "\n\n".join(mine[:n_shared]), "\n\n".join(mine[n_shared:])
    return shared, f"\n\n{own}" if shared and own else own


def _paragraphs(card: Mapping[str, Any], cast: Cast, lore: ConstantTexts) -> list[str]:
    ours = resolve(SYSTEM_PROMPT, cast, card)
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
    resolved = (resolve(part, cast, card, ours).strip() for part in parts)
    return [part for part in resolved if part]


def example_texts(card: Mapping[str, Any], cast: Cast) -> tuple[str, ...]:
    """The blocks of example dialogue between the <START> marks, macros resolved, empty ones left out."""
    blocks = (resolve(block, cast, card).strip() for block in _START.split(card_text(card, "mes_example")))
    return tuple(f"An example of how {cast.char} talks:\n{block}" for block in blocks if block)


def _labelled(label: str, text: str) -> str:
    return f"{label}: {text}" if text else ""
