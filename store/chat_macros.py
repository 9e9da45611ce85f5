"""Macros of a chat: resolves the macros of a text when that text enters a chat.

What it does: `resolve_in_chat` replaces macros by the chat's names, its character's card and its messages so far. Every
text of people or cards goes through it once, when it is stored: greetings, messages, edits, hints, notes, the persona.
Generated text and imported chats never do. {{input}} is empty: in a message it would be the message itself.
What it refuses to know: the syntax of macros (macros/resolver.py).
To add a macro of a chat: a field of the card in CARD_TEXTS, anything else in `resolve_in_chat`; the list in
macros/resolver.py; a case in tests/store/test_chat_macros.py.
"""

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


def resolve_in_chat(
    session: Session, chat: Chat, character: Character, text: str, now: float, before: int | None = None
) -> str:
    """`text` with its macros replaced, at the time `now` (seconds); `before`: ordinal of the message that it
    replaces."""
    char, user = display_name(character.name, character.card), chat.user_name
    context = MacroContext(now=now, seed=chat.id)
    texts = card_macros(character.card, char, user, context)
    texts |= {"persona": lambda: chat.user_persona or "", "input": lambda: ""}
    for name, role in _LAST.items():
        texts[name] = lambda role=role: _last_words(session, chat, role, before)  # type: ignore[misc]
    texts["idleduration"] = lambda: clock_and_dice.duration_text(now - _last_time(session, chat, before, now))
    return macros.resolve(text, char=char, user=user, context=replace(context, texts=texts))


def display_name(name: str, card: Mapping[str, Any]) -> str:
    """The name of a character in its stories: its nickname, if the card has one."""
    nickname = card.get("nickname")
    return nickname.strip() if isinstance(nickname, str) and nickname.strip() else name


def card_macros(card: Mapping[str, Any], char: str, user: str, context: MacroContext) -> dict[str, Callable[[], str]]:
    """The texts of a card as macros; clock and dice are those of `context`. They do not insert each other."""
    inside = replace(context, texts=dict.fromkeys(CARD_TEXTS, str))

    def expander(field: str) -> Callable[[], str]:
        value = card.get(field)
        text = value.strip() if isinstance(value, str) else ""
        return lambda: macros.resolve(text, char=char, user=user, context=inside, keep_unknown=False)

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
