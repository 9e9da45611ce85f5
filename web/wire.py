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
    """An event for browsers: the message in it, if any, gets its HTML."""
    message = event.get("message")
    return {**event, "message": with_html(message)} if message else event


def turn_json(turn: TurnView) -> dict[str, Any]:
    """An unfinished turn."""
    return {
        "id": turn.id,
        "kind": turn.kind,
        "state": turn.state,
        "attempt": turn.attempt,
        "partial": turn.partial,
    }


def unanswered_json(turn: TurnView) -> dict[str, Any]:
    """A turn that ended without a reply, with the reason."""
    if turn.state == "cancelled":
        error = errors.error_json("cancelled", "You stopped this before there were any words.")
    else:
        sentence = turn.error_text or "The reply could not be written. Try again."
        error = errors.error_json(turn.error_code or "failed", sentence)
    return {"turn": turn.id, "kind": turn.kind, **error}
