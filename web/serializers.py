"""Serializers: the JSON that browsers get over HTTP and web socket; messages with safe HTML, chats, turns.

What it refuses to know: frames (live/protocol/ puts these values into them).
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from store.memory import switches
from store.views import ChatView, MessageView, PresetView, TurnView
from web import errors
from web.i18n.language import marked
from web.rendering.prose import RenderBudget, render

STOPPED = marked("You stopped this before there were any words.")


class SetupJson(TypedDict):
    """What a person can change about a chat."""

    title: str
    author_note: str
    reference: str
    user_name: str
    user_persona: str
    settings: dict[str, Any]
    books: list[str]
    switches: dict[str, bool]


class PresetJson(TypedDict):
    """Settings that a person keeps under a name."""

    id: str
    name: str
    settings: dict[str, Any]


MemoryJson = TypedDict("MemoryJson", {"from": int, "forgotten": int})
"""The ordinal where the model's context window begins, and how many messages before it are not in the prompt."""


class TurnJson(TypedDict):
    """An unfinished turn."""

    id: str
    kind: str
    state: str
    attempt: int
    partial: str
    begins: str  # what the new alternative of a retry has already


class EndedJson(TypedDict):
    """A turn that has ended, for a tab that could not get its last event; the messages that it wrote by their ids."""

    turn: str
    kind: str
    state: str
    messages: list[str]


class SuggestionJson(TypedDict):
    """A draft of the person's next line."""

    turn: str
    text: str


class UnansweredJson(TypedDict):
    """A turn that ended without a reply, with the reason."""

    turn: str
    kind: str
    error: Mapping[str, Any]  # {code, message}; before it is translated perhaps {code, reason, values}


def messages_json(messages: Sequence[MessageView]) -> list[dict[str, Any]]:
    """The messages of a page; all share one budget of rendering, from the newest on."""
    budget = RenderBudget()
    return [message_json(message, budget) for message in reversed(messages)][::-1]


def message_json(message: MessageView, budget: RenderBudget | None = None) -> dict[str, Any]:
    """A message; in each alternative, `why`: are token probabilities kept, `lore`: did lorebooks add to its prompt."""
    shown = with_html(message.as_dict(), budget)
    for alternative, view in zip(shown["alternatives"], message.alternatives, strict=True):
        alternative["why"] = bool(view.stats.get("words"))
        alternative["lore"] = bool(view.stats.get("lore"))
    return shown


def with_html(message: Mapping[str, Any], budget: RenderBudget | None = None) -> dict[str, Any]:
    """The store's message JSON, with `html` in every alternative: the active one is rendered first."""
    budget = budget or RenderBudget()
    given = message["alternatives"]
    first = sorted(given, key=lambda each: each["position"] != message["active"])
    html = {each["position"]: render(str(each["text"]), budget) for each in first}
    return {**message, "alternatives": [{**each, "html": html[each["position"]]} for each in given]}


def event_with_html(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """An event of a turn, with HTML in the messages that it carries, if any.

    They have no `why` and no `lore`, as those of `message_json` have: the event's messages come from the worker.
    """
    messages = [with_html(message) for message in event.get("messages") or ()]
    return {**event, "message": messages[0], "messages": messages} if messages else event


def setup_json(chat: ChatView) -> SetupJson:
    """What a person can change about a chat, as it is now."""
    return {
        "title": chat.title,
        "author_note": chat.author_note,
        "reference": chat.reference,
        "user_name": chat.user_name,
        "user_persona": chat.user_persona,
        "settings": chat.settings,
        "books": chat.lore.get("books", []),
        "switches": {name: switches.is_on(chat.memory, name) for name in switches.ALL},
    }


def presets_json(presets: Sequence[PresetView]) -> list[PresetJson]:
    """A person's own presets."""
    return [{"id": preset.id, "name": preset.name, "settings": preset.settings} for preset in presets]


def memory_json(chat: ChatView, n_forgotten: int) -> MemoryJson:
    """Where the model's context window begins, and that `n_forgotten` messages before it are not in the prompt."""
    return {"from": memory_begins(chat), "forgotten": n_forgotten}


def memory_begins(chat: ChatView) -> int:
    """The ordinal of the first message in the model's context window."""
    return int(chat.window.get("messages", 0))


def turn_json(turn: TurnView) -> TurnJson:
    """An unfinished turn."""
    return {
        "id": turn.id,
        "kind": turn.kind,
        "state": turn.state,
        "attempt": turn.attempt,
        "partial": turn.partial,
        "begins": turn.params.get("begins", ""),
    }


def ended_json(turn: TurnView) -> EndedJson:
    """A turn that has ended."""
    return {"turn": turn.id, "kind": turn.kind, "state": turn.state, "messages": turn.result.get("messages", [])}


def suggestion_json(turn: TurnView | None) -> SuggestionJson | None:
    """What the newest turn of a chat suggests; None if it does not."""
    text = turn.result.get("suggestion") if turn and turn.ended else None
    return {"turn": turn.id, "text": text} if turn and text else None


def unanswered_json(turn: TurnView) -> UnansweredJson:
    """A turn that was stopped before any reply, or failed."""
    cancelled = turn.state == "cancelled"
    error = errors.error_json("cancelled", STOPPED)["error"] if cancelled else turn.failure.as_dict()
    return {"turn": turn.id, "kind": turn.kind, "error": error}
