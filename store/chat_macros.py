"""Macros of a chat: resolves the macros of a text when that text enters a chat.

What it does: `ChatMacros` replaces macros by the chat's names, its character's card and its messages so far. Every
text of people or cards goes through it once, when it is stored: greetings, messages, edits, hints, notes, the persona.
Generated text and imported chats never do. {{input}} is empty: in a message it would be the message itself.
What it refuses to know: the syntax of macros (macros/resolver.py).
To add a macro of a chat: a field of the card in CARD_TEXTS, anything else in `ChatMacros`; the list in
macros/resolver.py; a case in tests/store/test_chat_macros.py.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from store import macros
from store.macros import clock_and_dice
from store.macros.resolver import MacroContext
from store.models import Alternative, Character, Chat, Message

CARD_TEXTS = {
    "description": "description",
    "personality": "personality",
    "scenario": "scenario",
    "mesexamples": "mes_example",
    "charfirstmessage": "first_mes",
}
"""Fields of a card by the lower-case name of their macro."""
_LAST = {"lastmessage": None, "lastusermessage": "user", "lastcharmessage": "character"}


class ChatMacros:
    """The macros of one chat at one moment: its texts are read once, and all texts resolved with it share one budget.

    Reads the chat in the caller's transaction, which must be one that only reads: resolving takes time, and nobody else
    could write meanwhile.
    """

    def __init__(
        self, session: Session, chat: Chat, character: Character, now: float, before: int | None = None
    ) -> None:
        """`now`: the time in seconds; `before`: ordinal of the message that the text replaces."""
        self._char, self._user = display_name(character.name, character.card), chat.user_name
        context = MacroContext(now=now, seed=chat.id, budget=macros.MacroBudget())
        texts = card_macros(character.card, self._char, self._user, context)
        texts |= {"persona": lambda: chat.user_persona or "", "input": lambda: ""}
        for name, role in _LAST.items():
            texts[name] = functools.cache(lambda role=role: _last_words(session, chat, role, before))
        texts["idleduration"] = functools.cache(
            lambda: clock_and_dice.duration_text(now - _last_time(session, chat, before, now))
        )
        self._context = replace(context, texts=texts)

    def resolve(self, text: str) -> str:
        """`text` with its macros replaced."""
        return macros.resolve(text, char=self._char, user=self._user, context=self._context)


def display_name(name: str, card: Mapping[str, Any]) -> str:
    """The name of a character in its stories: its nickname, if the card has one."""
    nickname = card.get("nickname")
    return nickname.strip() if isinstance(nickname, str) and nickname.strip() else name


def card_macros(card: Mapping[str, Any], char: str, user: str, context: MacroContext) -> dict[str, Callable[[], str]]:
    """The texts of a card as macros, each resolved once; clock, dice and budget are those of `context`.

    They do not insert each other.
    """
    inside = replace(context, texts=dict.fromkeys(CARD_TEXTS, str))

    def expander(field: str) -> Callable[[], str]:
        value = card.get(field)
        text = value.strip() if isinstance(value, str) else ""
        return functools.cache(lambda: macros.resolve(text, char=char, user=user, context=inside, keep_unknown=False))

    return {name: expander(field) for name, field in CARD_TEXTS.items()}


def _last_words(session: Session, chat: Chat, role: str | None, before: int | None) -> str:
    message = _last(session, chat, role, before)
    if message is None:
        return ""
    chosen = Alternative.message_id == message.id, Alternative.position == message.active
    return session.scalar(select(Alternative.text).where(*chosen)) or ""


def _last_time(session: Session, chat: Chat, before: int | None, now: float) -> float:
    message = _last(session, chat, None, before)
    return message.created_at if message else now


def _last(session: Session, chat: Chat, role: str | None, before: int | None) -> Message | None:
    conditions = [Message.chat_id == chat.id, Message.deleted_at.is_(None)]
    conditions += [Message.role == role] if role else []
    conditions += [Message.ordinal < before] if before is not None else []
    return session.scalars(select(Message).where(*conditions).order_by(Message.ordinal.desc()).limit(1)).first()
