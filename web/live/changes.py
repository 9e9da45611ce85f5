"""Commands that change a chat by hand: messages, branches, the chat's notes and settings.

What it does: a handler for each; CHANGES is the second part of the table in commands.py, whose rules of ownership hold
here too. The tab that asked gets its reply first, then every tab on the chat gets `changed` or `setup` (broadcast).
What it refuses to know: what a change costs the engine (store/edits.py says which KV blocks stay valid).
"""

from collections.abc import Callable

from store import chats, edits, explanations, personas, prompt_records
from store.db import Database
from store.lore import books
from store.presets import own_presets
from store.views import MessageView
from web import serializers
from web.live.caller import Caller, Handler
from web.live.protocol.to_server import (
    BranchChat,
    CommandFrame,
    DeleteBelow,
    DeleteMessage,
    DeletePreset,
    EditMessage,
    PinMessage,
    RestoreBelow,
    RestoreMessage,
    SavePreset,
    SetUpChat,
    ShowLoreUsed,
    ShowProbabilities,
    ShowPrompt,
    StartOver,
)
from web.live.protocol.to_tab import Branched, Changed, LoreUsed, Presets, Probabilities, Prompt, SetUp


def _edit(caller: Caller, frame: EditMessage) -> None:
    message = edits.edit_message(
        caller.services.database, caller.user_id, frame.message, frame.text, frame.revision, seen=frame.seen
    )
    _reply_changed(caller, frame, message.chat_id, message.revision, message)


def _delete(caller: Caller, frame: DeleteMessage) -> None:
    database = caller.services.database
    chat_id = chats.get_message(database, frame.message).chat_id  # no reply with it before `delete_message` checks it
    revision = edits.delete_message(database, caller.user_id, frame.message, frame.revision)
    _reply_changed(caller, frame, chat_id, revision)


def _restore(caller: Caller, frame: RestoreMessage) -> None:
    message = edits.restore_message(caller.services.database, caller.user_id, frame.message, frame.revision)
    _reply_changed(caller, frame, message.chat_id, message.revision, message)


def _delete_below(caller: Caller, frame: DeleteBelow) -> None:
    _change_below(caller, frame, edits.delete_below)


def _restore_below(caller: Caller, frame: RestoreBelow) -> None:
    _change_below(caller, frame, edits.restore_below)


def _change_below(
    caller: Caller, frame: DeleteBelow | RestoreBelow, change: Callable[[Database, str, str, int], int]
) -> None:
    database = caller.services.database
    revision = change(database, caller.user_id, frame.message, frame.revision)
    _reply_changed(caller, frame, chats.get_message(database, frame.message).chat_id, revision)


def _pin(caller: Caller, frame: PinMessage) -> None:
    database = caller.services.database
    message = edits.pin_message(database, caller.user_id, frame.message, frame.pinned, frame.revision)
    _reply_changed(caller, frame, message.chat_id, message.revision, message)


def _branch(caller: Caller, frame: BranchChat) -> None:
    services = caller.services
    chat = edits.branch(services.database, caller.user_id, frame.message, quota=services.settings.quota)
    caller.reply(Branched(type="branched", chat=chat.id))


def _start_over(caller: Caller, frame: StartOver) -> None:
    services = caller.services
    chat = edits.start_over(services.database, caller.user_id, frame.chat, quota=services.settings.quota)
    caller.reply(Branched(type="branched", chat=chat.id))


def _set_up(caller: Caller, frame: SetUpChat) -> None:
    changes = frame.model_dump(exclude={"type", "chat", "books", "persona"}, exclude_none=True)
    if frame.persona is not None:
        persona = personas.get_persona(caller.services.database, caller.user_id, frame.persona)
        changes |= {"user_name": persona.name, "user_persona": persona.description}
    if frame.books is not None:
        books.attach(caller.services.database, caller.user_id, frame.chat, frame.books)
    chat = chats.change_chat(caller.services.database, caller.user_id, frame.chat, **changes)
    caller.reply(SetUp(type="setup", chat=chat.id, **serializers.setup_json(chat)))
    caller.services.hub.publish(chat.id, {"type": "setup", "chat": chat.id})  # each viewer reads how it is set up then
    if frame.title is not None:
        caller.services.hub.publish_titled(caller.user_id, chat.id)


def _save_preset(caller: Caller, frame: SavePreset) -> None:
    own_presets.save_preset(caller.services.database, caller.user_id, frame.name, frame.settings)
    _reply_presets(caller)


def _delete_preset(caller: Caller, frame: DeletePreset) -> None:
    own_presets.delete_preset(caller.services.database, caller.user_id, frame.preset)
    _reply_presets(caller)


def _reply_presets(caller: Caller) -> None:
    own = own_presets.list_presets(caller.services.database, caller.user_id)
    caller.reply(Presets(type="presets", presets=serializers.presets_json(own)))


def _show_probabilities(caller: Caller, frame: ShowProbabilities) -> None:
    words = explanations.token_probabilities(caller.services.database, caller.user_id, frame.message, frame.position)
    caller.reply(Probabilities(type="why", message=frame.message, position=frame.position, words=words))


def _show_lore_used(caller: Caller, frame: ShowLoreUsed) -> None:
    lore = explanations.lore_used(caller.services.database, caller.user_id, frame.message, frame.position)
    caller.reply(LoreUsed(type="added", message=frame.message, position=frame.position, lore=lore))


def _show_prompt(caller: Caller, frame: ShowPrompt) -> None:
    prompt = prompt_records.read(caller.services.database, caller.user_id, frame.message, frame.position)
    caller.reply(Prompt(type="prompt", message=frame.message, position=frame.position, prompt=prompt))


def _reply_changed(
    caller: Caller,
    frame: EditMessage | DeleteMessage | RestoreMessage | DeleteBelow | RestoreBelow | PinMessage,
    chat_id: str,
    revision: int,
    message: MessageView | None = None,
) -> None:
    """Reply that the change is done (`message`: its subject as it is now), then tell every tab on the chat."""
    change = Changed(type="changed", chat=chat_id, revision=revision, turn=None)
    now = serializers.message_json(message) if message else None
    caller.reply(Changed(**change, by=frame.type, message=frame.message, now=now))
    caller.services.hub.publish(chat_id, change)


CHANGES: dict[type[CommandFrame], Handler] = {
    EditMessage: _edit,
    DeleteMessage: _delete,
    RestoreMessage: _restore,
    DeleteBelow: _delete_below,
    RestoreBelow: _restore_below,
    PinMessage: _pin,
    BranchChat: _branch,
    StartOver: _start_over,
    SetUpChat: _set_up,
    SavePreset: _save_preset,
    DeletePreset: _delete_preset,
    ShowProbabilities: _show_probabilities,
    ShowLoreUsed: _show_lore_used,
    ShowPrompt: _show_prompt,
}
