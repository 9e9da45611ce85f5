"""Commands about the notes of a story: show them, edit, pin, write again, delete and undo.

What it does: a handler for each; NOTE_COMMANDS is the third part of the table in commands.py, whose rules of ownership
hold here too. The tab that asked gets its answer first, then every tab on the chat hears `changed`.
What it refuses to know: when the model writes a note (worker/remember.py).
"""

from store.memory import notes
from store.views import StoryNote
from web.live.caller import Caller, Handler
from web.live.protocol.to_server import (
    CommandFrame,
    DeleteNote,
    EditNote,
    NoteChange,
    PinNote,
    RestoreNote,
    RewriteNote,
    ShowNotes,
)
from web.live.protocol.to_tab import Changed, NoteChanged, Notes


def _show(caller: Caller, frame: ShowNotes) -> None:
    shown = notes.list_notes(caller.services.database, caller.user_id, frame.chat)
    _reply_notes(caller, frame.chat, shown)


def _edit(caller: Caller, frame: EditNote) -> None:
    changed = notes.edit_note(caller.services.database, caller.user_id, frame.note, frame.text, frame.revision)
    _reply(caller, frame, frame.type, *changed)


def _pin(caller: Caller, frame: PinNote) -> None:
    changed = notes.pin_note(caller.services.database, caller.user_id, frame.note, frame.pinned, frame.revision)
    _reply(caller, frame, frame.type, *changed)


def _rewrite(caller: Caller, frame: RewriteNote) -> None:
    changed = notes.rewrite_note(caller.services.database, caller.user_id, frame.note, frame.revision)
    _reply(caller, frame, frame.type, *changed)


def _delete(caller: Caller, frame: DeleteNote) -> None:
    changed = notes.delete_note(caller.services.database, caller.user_id, frame.note, frame.revision)
    _reply(caller, frame, frame.type, *changed)


def _restore(caller: Caller, frame: RestoreNote) -> None:
    changed = notes.restore_note(caller.services.database, caller.user_id, frame.note, frame.revision)
    _reply(caller, frame, frame.type, *changed)


def _reply(caller: Caller, frame: NoteChange, by: str, note: StoryNote, revision: int) -> None:
    chat_id = note.chat_id
    caller.reply(NoteChanged(type="note_changed", chat=chat_id, revision=revision, note=frame.note, by=by))
    _reply_notes(caller, chat_id, notes.list_notes(caller.services.database, caller.user_id, chat_id))
    caller.services.hub.publish(chat_id, Changed(type="changed", chat=chat_id, revision=revision, turn=None))


def _reply_notes(caller: Caller, chat_id: str, shown: tuple[StoryNote, ...]) -> None:
    """Those that no other note replaces, the newest so many."""
    told = [note.as_dict() for note in shown if note.covered_by is None][-notes.MAX_IN_PROMPT :]
    caller.reply(Notes(type="notes", chat=chat_id, notes=told))


NOTE_COMMANDS: dict[type[CommandFrame], Handler] = {
    ShowNotes: _show,
    EditNote: _edit,
    PinNote: _pin,
    RewriteNote: _rewrite,
    DeleteNote: _delete,
    RestoreNote: _restore,
}
