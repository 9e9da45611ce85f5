"""Stories and a byte-level framing for tests of the pure part of the worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from store.views import AlternativeView, CharacterView, ChatView, MessageView, Story, TurnView


@dataclass(frozen=True)
class ByteFraming:
    """A framing whose tokens are bytes: `<role/name|text>`; what the model wrote keeps its ids (shown from 1000 up)."""

    def segment(self, role: str, name: str, text: str) -> tuple[int, ...]:
        return (*self.reply_header(role, name), *text.encode(), *self.footer(role))

    def segment_from_tokens(self, role: str, name: str, tokens: Sequence[int]) -> tuple[int, ...]:
        return (*self.reply_header(role, name), *tokens, *self.footer(role))

    def reply_header(self, role: str, name: str) -> tuple[int, ...]:
        return tuple(f"<{role}/{name}|".encode())

    def inner_tokens(self, text: str) -> tuple[int, ...]:
        return tuple(text.encode())

    def footer(self, role: str) -> tuple[int, ...]:
        return tuple(b">")

    def stop_strings(self, names: Sequence[str], own: str = "") -> tuple[str, ...]:
        return tuple(f"\n{name}:" for name in names)


def text_of(tokens: Sequence[int]) -> str:
    return bytes(token for token in tokens if token < 256).decode()


def alternative(position: int = 0, text: str = "", **fields: object) -> AlternativeView:
    blank = AlternativeView(position, text, None, None, None, None, {}, None, 0.0)
    return replace(blank, **fields)  # type: ignore[arg-type]


def message(ordinal: int, role: str, *texts: str, active: int = 0, **fields: object) -> MessageView:
    """A message with one alternative per text; `fields` go to the active alternative."""
    alternatives = [alternative(position, text) for position, text in enumerate(texts)]
    alternatives[active] = replace(alternatives[active], **fields)  # type: ignore[arg-type]
    name = {"user": "Ann", "character": "Mira"}.get(role, "")
    return MessageView(f"m{ordinal}", "chat", ordinal, role, name, active, False, tuple(alternatives), None, 0.0)


def story(*messages: MessageView, card: dict[str, object] | None = None, **chat: object) -> Story:
    character = CharacterView("c1", None, None, "Mira", "", card or {}, "", "everyone", "en", 0.0)
    blank = ChatView("chat", "ann", "c1", "Mira", "", "A chat", 1, "Ann", "", "", "", {}, {}, 0.0, 0.0)
    return Story(replace(blank, **chat), character, messages)  # type: ignore[arg-type]


def talk(n_messages: int, size: int = 20) -> list[MessageView]:
    """`n_messages` messages of `size` letters, the last one by the user."""
    roles = ["character", "user"] if n_messages % 2 == 0 else ["user", "character"]
    return [message(n, roles[n % 2], f"{n:03d}".ljust(size, "x")) for n in range(n_messages)]


def turn(kind: str = "chat", turn_id: str = "t" * 32, **fields: object) -> TurnView:
    values = dict.fromkeys(TurnView.__dataclass_fields__)
    values |= {"id": turn_id, "chat_id": "chat", "owner_id": "ann", "kind": kind, "state": "waking", "attempt": 1}
    return TurnView(**{**values, "partial": "", "params": {}, "stats": {}, **fields})  # type: ignore[arg-type]
