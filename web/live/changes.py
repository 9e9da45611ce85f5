"""What a person changes by hand over the web socket: messages, the course of the story, the chat's notes and settings.

What it does: the frames, and a handler for each; CHANGES is a part of the table of commands.py, whose rules of
ownership hold here too. Every change is told to all tabs on the chat; who asked gets an answer of their own.
What it refuses to know: what a change costs the engine (store/edits.py says what is kept).
"""

from typing import Annotated, Literal

from pydantic import Field

from store import chats, edits
from store.lore import books
from store.views import MessageView
from web import serializers
from web.live.caller import Caller, CommandFrame, Handler, Id, Reply

Number = Annotated[int | float, Field(allow_inf_nan=False)]


class MessageChange(CommandFrame):
    """A change of one message. `revision`: the chat's, as the person saw it."""

    message: Id
    revision: int = Field(ge=0)


class EditMessage(MessageChange):
    """Give a message another text."""

    type: Literal["edit"]
    text: str


class DeleteMessage(MessageChange):
    """Take a message out of the story."""

    type: Literal["delete"]


class RestoreMessage(MessageChange):
    """Undo a delete."""

    type: Literal["restore"]


class PinMessage(MessageChange):
    """Keep a message in the model's memory, or no longer."""

    type: Literal["pin"]
    pinned: bool


class BranchChat(CommandFrame):
    """A new chat that is the same up to this message."""

    type: Literal["branch"]
    message: Id


class StartOver(CommandFrame):
    """A new chat with the same character, settings and notes, from the greeting on."""

    type: Literal["start_over"]
    chat: Id


class SetUpChat(CommandFrame):
    """Set the title, the notes, the person's own description, the sampler or the lorebooks of a chat.

    What is left out stays.
    """

    type: Literal["setup"]
    chat: Id
    title: str | None = None
    author_note: str | None = None
    reference: str | None = None
    user_persona: str | None = None
    settings: dict[str, Number] | None = Field(None, max_length=32)
    books: list[Id] | None = Field(None, max_length=32)


class ShowProbabilities(CommandFrame):
    """The words of a wording with their probabilities."""

    type: Literal["why"]
    message: Id
    position: int = Field(ge=0)


class ShowLoreUsed(CommandFrame):
    """What lorebooks added before a wording was written."""

    type: Literal["added"]
    message: Id
    position: int = Field(ge=0)


Change = (
    EditMessage
    | DeleteMessage
    | RestoreMessage
    | PinMessage
    | BranchChat
    | StartOver
    | SetUpChat
    | ShowProbabilities
    | ShowLoreUsed
)


def _edit(caller: Caller, frame: EditMessage) -> Reply:
    message = edits.edit_message(caller.services.database, caller.user_id, frame.message, frame.text, frame.revision)
    return _changed(caller, frame, message.chat_id, message.revision, message)


def _delete(caller: Caller, frame: DeleteMessage) -> Reply:
    database = caller.services.database
    chat_id = chats.get_message(
        database, frame.message
    ).chat_id  # whose it is, the next line asks; until then it is ours
    revision = edits.delete_message(database, caller.user_id, frame.message, frame.revision)
    return _changed(caller, frame, chat_id, revision)


def _restore(caller: Caller, frame: RestoreMessage) -> Reply:
    message = edits.restore_message(caller.services.database, caller.user_id, frame.message, frame.revision)
    return _changed(caller, frame, message.chat_id, message.revision, message)


def _pin(caller: Caller, frame: PinMessage) -> Reply:
    message = edits.pin_message(caller.services.database, caller.user_id, frame.message, frame.pinned, frame.revision)
    return _changed(caller, frame, message.chat_id, message.revision, message)


def _branch(caller: Caller, frame: BranchChat) -> Reply:
    chat = edits.branch(caller.services.database, caller.user_id, frame.message)
    return {"type": "branched", "chat": chat.id}


def _start_over(caller: Caller, frame: StartOver) -> Reply:
    chat = edits.start_over(caller.services.database, caller.user_id, frame.chat)
    return {"type": "branched", "chat": chat.id}


def _setup(caller: Caller, frame: SetUpChat) -> Reply:
    changes = frame.model_dump(exclude={"type", "chat", "books"}, exclude_none=True)
    if frame.books is not None:
        books.attach(caller.services.database, caller.user_id, frame.chat, frame.books)
    chat = chats.change_chat(caller.services.database, caller.user_id, frame.chat, **changes)
    caller.services.hub.publish(chat.id, {"type": "setup", "chat": chat.id})
    return {"type": "setup", "chat": chat.id, **serializers.setup_json(chat)}


def _why(caller: Caller, frame: ShowProbabilities) -> Reply:
    words = chats.token_probabilities(caller.services.database, caller.user_id, frame.message, frame.position)
    return {"type": "why", "message": frame.message, "position": frame.position, "words": words}


def _added(caller: Caller, frame: ShowLoreUsed) -> Reply:
    lore = chats.lore_used(caller.services.database, caller.user_id, frame.message, frame.position)
    return {"type": "added", "message": frame.message, "position": frame.position, "lore": lore}


def _changed(
    caller: Caller, frame: MessageChange, chat_id: str, revision: int, message: MessageView | None = None
) -> Reply:
    """Tell every tab on the chat, and who asked that it is done (`now`: the message as it is now)."""
    change = {"type": "changed", "chat": chat_id, "revision": revision, "turn": None}
    caller.services.hub.publish(chat_id, change)
    now = serializers.message_json(message) if message else None
    return {**change, "by": getattr(frame, "type", ""), "message": frame.message, "now": now}


CHANGES: dict[type[CommandFrame], Handler] = {
    EditMessage: _edit,
    DeleteMessage: _delete,
    RestoreMessage: _restore,
    PinMessage: _pin,
    BranchChat: _branch,
    StartOver: _start_over,
    SetUpChat: _setup,
    ShowProbabilities: _why,
    ShowLoreUsed: _added,
}
