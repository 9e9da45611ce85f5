"""The commands of a tab: parses a frame strictly, finds its handler, checks ownership in one place.

What it does: COMMANDS is the table of all commands; the handlers of turns and of reading along are here, those of
changes by hand in changes.py, those of notes in note_changes.py. The tab gets its acknowledgement first, then every tab
on the chat is told; the page that asked ignores what it knows.
Ownership: every handler gets the person's id, and every store function that it calls with an id from outside takes the
person's id too; a chat of another person is `not_found`, as if it did not exist.
What it refuses to know: the shapes of frames (protocol/), sockets and threads (tab_session.py), how a reply is written.
To add a command of the tab: web/live/protocol/__init__.py names all four places.
"""

import logging

from pydantic import ValidationError
from redis.exceptions import RedisError

from store import chats, turns
from store.broker import queue, warmup
from store.errors import StoreError
from web import errors, serializers
from web.live.caller import Caller, Handler
from web.live.changes import CHANGES
from web.live.note_changes import NOTE_COMMANDS
from web.live.protocol.to_server import (
    ChooseAlternative,
    CommandFrame,
    OpenChat,
    Ping,
    StopTurn,
    SubmitTurn,
    parse_command,
)
from web.live.protocol.to_tab import Ack, Changed, Pong, refused
from web.live.viewer import publish_turn_change
from web.services import Services

log = logging.getLogger(__name__)


def execute(caller: Caller, text: str | bytes) -> None:
    """Do the command in a frame; a command that cannot be done is answered by `refused`.

    Raises RedisError and SQLAlchemyError.
    """
    try:
        frame = parse_command(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        bad_frame = StoreError("bad_frame", details=f"{where}: {first['msg']}")
        caller.reply(refused(errors.reason_json(bad_frame)))
        return
    try:
        COMMANDS[type(frame)](caller, frame)
    except StoreError as error:
        turn_id = frame.id if isinstance(frame, SubmitTurn) else None
        caller.reply({**refused(errors.reason_json(error), turn_id), "of": frame.type})


def _open(caller: Caller, frame: OpenChat) -> None:
    chats.get_chat(caller.services.database, caller.user_id, frame.chat)  # raises NotFound before anything is watched
    caller.watch(frame.chat)
    caller.later(lambda: caller.viewer.open(frame.chat, frame.turn, frame.after, frame.stream))
    caller.later(lambda: _ask_for_warmup(caller.services, frame.chat))


def _ask_for_warmup(services: Services, chat_id: str) -> None:
    """Preload: the person will soon write, so an idle worker may read the chat into its KV cache now."""
    try:
        warmup.ask(services.redis, chat_id)
    except RedisError as error:
        log.info("No worker is asked to preload chat %s: %s", chat_id, error)


def _submit(caller: Caller, frame: SubmitTurn) -> None:
    """One transaction, then the acknowledgement, then the delivery to a worker; every tab on the chat is told."""
    services = caller.services
    command = turns.TurnCommand(frame.id, frame.chat, frame.kind, frame.revision, frame.text, then=frame.then)
    limit = services.settings.max_waiting_turns
    begun = queue.accept(
        services.database, services.redis, caller.user_id, command, max_waiting=limit, quota=services.settings.quota
    )
    ack: Ack = {
        "type": "ack",
        "id": begun.turn.id,
        "state": begun.turn.state,
        "revision": begun.revision,
        "message": serializers.message_json(begun.message) if begun.message else None,
        "minutes_left": begun.minutes_left,
    }
    caller.reply(ack)
    queue.deliver(services.database, services.redis, begun)
    publish_turn_change(services, begun.turn, begun.revision)


def _stop(caller: Caller, frame: StopTurn) -> None:
    services = caller.services
    turn = queue.stop(services.database, services.redis, caller.user_id, frame.turn)
    if turn.ended:
        publish_turn_change(services, turn, chats.get_revision(services.database, turn.chat_id))


def _choose(caller: Caller, frame: ChooseAlternative) -> None:
    services = caller.services
    message = chats.choose_alternative(services.database, caller.user_id, frame.message, frame.position, frame.revision)
    change = Changed(type="changed", chat=message.chat_id, revision=message.revision, turn=None)
    services.hub.publish(message.chat_id, change)


def _ping(caller: Caller, _frame: Ping) -> None:
    caller.reply(Pong(type="pong"))


COMMANDS: dict[type[CommandFrame], Handler] = {
    OpenChat: _open,
    SubmitTurn: _submit,
    StopTurn: _stop,
    ChooseAlternative: _choose,
    Ping: _ping,
    **CHANGES,
    **NOTE_COMMANDS,
}
