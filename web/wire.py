"""The JSON that browsers get: the store's message JSON with safe HTML beside every text."""

from collections.abc import Mapping
from typing import Any

from store.views import MessageView, TurnView
from web import errors
from web.prose import render


def message_json(message: MessageView) -> dict[str, Any]:
    """A message for browsers."""
    return with_html(message.as_dict())


def with_html(message: Mapping[str, Any]) -> dict[str, Any]:
    """The store's message JSON, with `html` in every alternative."""
    alternatives = [{**one, "html": render(str(one["text"]))} for one in message["alternatives"]]
    return {**message, "alternatives": alternatives}


def decorate(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """An event for browsers: the messages in it, if any, get their HTML."""
    messages = [with_html(message) for message in event.get("messages") or ()]
    return {**event, "message": messages[0] if messages else None, "messages": messages} if messages else event


def turn_json(turn: TurnView) -> dict[str, Any]:
    """An unfinished turn."""
    return {
        "id": turn.id,
        "kind": turn.kind,
        "state": turn.state,
        "attempt": turn.attempt,
        "partial": turn.partial,
    }


def suggestion_json(turn: TurnView | None) -> dict[str, Any] | None:
    """What the newest turn of a chat suggests, if it does."""
    text = turn.result.get("suggestion") if turn and turn.ended else None
    return {"turn": turn.id, "text": text} if turn and text else None


def unanswered_json(turn: TurnView) -> dict[str, Any]:
    """A turn that ended without what it was for, with the reason."""
    if turn.state == "cancelled":
        error = errors.error_json("cancelled", "You stopped this before there were any words.")
    else:
        sentence = turn.error_text or "The reply could not be written. Try again."
        error = errors.error_json(turn.error_code or "failed", sentence)
    return {"turn": turn.id, "kind": turn.kind, **error}
