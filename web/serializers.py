"""The JSON that browsers get: the store's message JSON with safe HTML beside every text."""

from collections.abc import Mapping
from typing import Any

from store.views import ChatView, MessageView, TurnView
from web import errors
from web.i18n.language import marked
from web.rendering.prose import render

STOPPED = marked("You stopped this before there were any words.")


def message_json(message: MessageView) -> dict[str, Any]:
    """A message for browsers; `why` of a wording: are its words' chances kept, `lore`: did lorebooks add to it."""
    said = with_html(message.as_dict())
    for shown, one in zip(said["alternatives"], message.alternatives, strict=True):
        shown["why"] = bool(one.stats.get("words"))
        shown["lore"] = bool(one.stats.get("lore"))
    return said


def with_html(message: Mapping[str, Any]) -> dict[str, Any]:
    """The store's message JSON, with `html` in every alternative."""
    alternatives = [{**one, "html": render(str(one["text"]))} for one in message["alternatives"]]
    return {**message, "alternatives": alternatives}


def decorate(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """An event for browsers: the messages in it, if any, get their HTML."""
    messages = [with_html(message) for message in event.get("messages") or ()]
    return {**event, "message": messages[0] if messages else None, "messages": messages} if messages else event


def setup_json(chat: ChatView) -> dict[str, Any]:
    """What a person can change about a chat."""
    return {
        "title": chat.title,
        "author_note": chat.author_note,
        "reference": chat.reference,
        "user_persona": chat.user_persona,
        "settings": chat.settings,
        "books": chat.lore.get("books", []),
    }


def memory_json(chat: ChatView, n_forgotten: int) -> dict[str, Any]:
    """The ordinal where the model's memory begins, and how many messages before it are not remembered."""
    return {"from": memory_begins(chat), "forgotten": n_forgotten}


def memory_begins(chat: ChatView) -> int:
    """The ordinal where the model's memory begins."""
    return int(chat.window.get("messages", 0))


def turn_json(turn: TurnView) -> dict[str, Any]:
    """An unfinished turn."""
    return {
        "id": turn.id,
        "kind": turn.kind,
        "state": turn.state,
        "attempt": turn.attempt,
        "partial": turn.partial,
    }


def ended_json(turn: TurnView) -> dict[str, Any]:
    """A turn that is over, for a tab that could not hear its end; the messages that it wrote by their ids."""
    return {"turn": turn.id, "kind": turn.kind, "state": turn.state, "messages": turn.result.get("messages", [])}


def suggestion_json(turn: TurnView | None) -> dict[str, Any] | None:
    """What the newest turn of a chat suggests, if it does."""
    text = turn.result.get("suggestion") if turn and turn.ended else None
    return {"turn": turn.id, "text": text} if turn and text else None


def unanswered_json(turn: TurnView) -> dict[str, Any]:
    """A turn that ended without what it was for, with the reason."""
    if turn.state == "cancelled":
        error: dict[str, Any] = errors.error_json("cancelled", STOPPED)
    else:
        error = {"error": turn.failure.as_dict()}
    return {"turn": turn.id, "kind": turn.kind, **error}
