"""What the macros of a text stand for when that text becomes part of a chat.

What it does: `resolved` replaces the macros of a text that enters a chat, by the chat's names, its character's card and
its messages so far. What it refuses to know: how macros are written (macros/resolve.py).
Everything that people or cards bring into a chat goes through here once, when it is stored: greetings, messages, edits,
hints, notes, their own description. What the model wrote never does, nor what an import brings.
{{input}} is empty: in a message it would be the message itself.
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
"""Macros of the texts of a card, in small letters, and their fields."""
_LAST = {"lastmessage": None, "lastusermessage": "user", "lastcharmessage": "character"}


def resolve_in_chat(
    session: Session, chat: Chat, character: Character, text: str, now: float, before: int | None = None
) -> str:
    """`text` with its macros replaced as it enters the chat at `now`; `before`: an old message's ordinal."""
    char, user = display_name(character.name, character.card), chat.user_name
    context = MacroContext(now=now, seed=chat.id)
    texts = card_macros(character.card, char, user, context)
    texts |= {"persona": lambda: chat.user_persona or "", "input": lambda: ""}
    for name, role in _LAST.items():
        texts[name] = lambda role=role: _last_words(session, chat, role, before)  # type: ignore[misc]
    texts["idleduration"] = lambda: clock_and_dice.duration_text(now - _last_time(session, chat, before, now))
    return macros.resolve(text, char=char, user=user, context=replace(context, texts=texts))


def display_name(name: str, card: Mapping[str, Any]) -> str:
    """What a character is called in its stories: its nickname if it has one."""
    nickname = card.get("nickname")
    return nickname.strip() if isinstance(nickname, str) and nickname.strip() else name


def card_macros(card: Mapping[str, Any], char: str, user: str, context: MacroContext) -> dict[str, Callable[[], str]]:
    """The texts of a card as macros; clock and dice are those of `scene`. They do not insert each other."""
    inside = replace(context, texts=dict.fromkeys(CARD_TEXTS, str))

    def ready(field: str) -> Callable[[], str]:
        value = card.get(field)
        text = value.strip() if isinstance(value, str) else ""
        return lambda: macros.resolve(text, char=char, user=user, context=inside, keep_unknown=False)

    return {name: ready(field) for name, field in CARD_TEXTS.items()}


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
    wanted = [Message.chat_id == chat.id, Message.deleted_at.is_(None)]
    wanted += [Message.role == role] if role else []
    wanted += [Message.ordinal < before] if before is not None else []
    return session.scalars(select(Message).where(*wanted).order_by(Message.ordinal.desc()).limit(1)).first()
