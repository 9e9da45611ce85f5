"""What a tab may ask for over its web socket: the frames, and what each of them does.

What it does: parses a frame strictly, obeys, answers. COMMANDS is the table of all commands. Ownership: every handler
gets the person's id, and every store function that it calls with an id from outside takes the person's id too; what is
somebody else's is `not_found`, as if it did not exist. tests/web/test_live_foreign.py tries every command of the table.
What it refuses to know: sockets, threads (tab_session.py has them), how a reply comes about.
Here are the commands of reading and writing along; changes.py has those of changing things by hand.
To add a command: a frame class, a handler, a line in COMMANDS (or CHANGES), a row in that test.
"""

import logging
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError
from redis.exceptions import RedisError

from store import chats, turns
from store.broker import queue, warmup
from store.errors import StoreError
from store.turns.kinds import FOLLOWING, KINDS
from web import errors, serializers
from web.live.caller import Caller, CommandFrame, Handler, Id, Reply
from web.live.changes import CHANGES, Change
from web.live.viewer import announce_change
from web.services import Services

log = logging.getLogger(__name__)
TurnKind = Annotated[str, Field(pattern=f"^({'|'.join(KINDS)})$")]
FollowUp = Annotated[str, Field(pattern=f"^({'|'.join(FOLLOWING)})$")]


class OpenChat(CommandFrame):
    """Show me this chat, and keep showing it. `turn`, `after` and `stream`: what I already have."""

    type: Literal["open"]
    chat: Id
    turn: Id | None = None
    after: int = Field(0, ge=0)
    stream: str | None = Field(None, max_length=64)


class SubmitTurn(CommandFrame):
    """Do this turn, and `then` these parts of it. `id` is made by the browser; sending it twice makes one turn."""

    type: Literal["submit"]
    id: str = Field(max_length=64)
    chat: Id
    kind: TurnKind
    revision: int = Field(ge=0)
    text: str = ""
    then: tuple[FollowUp, ...] = Field((), max_length=3)


class StopTurn(CommandFrame):
    """Stop this turn; what was written so far stays."""

    type: Literal["stop"]
    turn: Id


class ChooseAlternative(CommandFrame):
    """Make another wording of a message the one that counts."""

    type: Literal["choose"]
    message: Id
    position: int = Field(ge=0)
    revision: int = Field(ge=0)


class Ping(CommandFrame):
    """Are you there?"""

    type: Literal["ping"]


Command = Annotated[OpenChat | SubmitTurn | StopTurn | ChooseAlternative | Ping | Change, Field(discriminator="type")]
_FRAMES: TypeAdapter[Command] = TypeAdapter(Command)


def execute(caller: Caller, text: str | bytes) -> Reply | None:
    """Do what a frame asks for. The answer is for this tab only; None when there is none."""
    try:
        frame = _FRAMES.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return refused(None, StoreError("bad_frame", details=f"{where}: {first['msg']}"))
    subject = getattr(frame, "id", None)
    try:
        return COMMANDS[type(frame)](caller, frame)
    except StoreError as error:
        return {**refused(subject, error), "of": frame.type}


def refused(turn_id: str | None, error: StoreError) -> Reply:
    """The answer to a command that was not obeyed."""
    return {"type": "refused", "id": turn_id, **errors.reason_json(error)}


def _open(caller: Caller, frame: OpenChat) -> None:
    chats.get_chat(
        caller.services.database, caller.user_id, frame.chat
    )  # own, or not_found: before anything is watched
    caller.watch(frame.chat)
    caller.later(lambda: caller.viewer.open(frame.chat, frame.turn, frame.after, frame.stream))
    caller.later(lambda: _wish_it_awake(caller.services, frame.chat))


def _wish_it_awake(services: Services, chat_id: str) -> None:
    """Whoever opens a chat will soon say something: a worker without work may read it ahead."""
    try:
        warmup.ask(services.redis, chat_id)
    except RedisError as error:
        log.info("chat %s is not woken ahead: %s", chat_id, error)


def _submit(caller: Caller, frame: SubmitTurn) -> None:
    """One transaction, then the acknowledgement; what brings the turn to a worker and other tabs comes after it."""
    services = caller.services
    command = turns.TurnCommand(frame.id, frame.chat, frame.kind, frame.revision, frame.text, then=frame.then)
    most = services.settings.max_waiting_turns
    begun = queue.accept(services.database, services.redis, caller.user_id, command, max_waiting=most)
    caller.answer(
        {
            "type": "ack",
            "id": begun.turn.id,
            "state": begun.turn.state,
            "revision": begun.revision,
            "message": serializers.message_json(begun.message) if begun.message else None,
            "minutes_left": begun.minutes_left,
        }
    )
    queue.deliver(services.database, services.redis, begun)
    announce_change(services, begun.turn, begun.revision)


def _stop(caller: Caller, frame: StopTurn) -> None:
    turn = queue.stop(caller.services.database, caller.services.redis, caller.user_id, frame.turn)
    if turn.ended:
        announce_change(caller.services, turn, chats.get_revision(caller.services.database, turn.chat_id))


def _choose(caller: Caller, frame: ChooseAlternative) -> None:
    services = caller.services
    message = chats.choose_alternative(services.database, caller.user_id, frame.message, frame.position, frame.revision)
    change = {"type": "changed", "chat": message.chat_id, "revision": message.revision, "turn": None}
    services.hub.publish(message.chat_id, change)


def _ping(caller: Caller, frame: Ping) -> Reply:
    return {"type": "pong"}


COMMANDS: dict[type[CommandFrame], Handler] = {
    OpenChat: _open,
    SubmitTurn: _submit,
    StopTurn: _stop,
    ChooseAlternative: _choose,
    Ping: _ping,
    **CHANGES,
}
