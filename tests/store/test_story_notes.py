"""Notes of a story: written by a worker with the window behind their messages, changed by people, copied, removed."""

import json
import uuid

import pytest

from store import chat_transfer, chats, edits, export, removal, turns
from store.chat_files import markdown, native
from store.errors import NotFound, Refused
from store.memory import notes, recording
from store.memory.recording import NewNote
from store.models import StoryNoteRow
from store.turns import Reply, TurnCommand

WINDOW = {"examples": 0, "messages": 3}


@pytest.fixture
def told(database, user, chat):
    """A chat of a greeting and four exchanges; its messages."""
    for number in range(4):
        revision = chats.get_revision(database, chat.id)
        turn = turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, chat.id, "chat", revision, "hi")).turn
        attempt = turns.claim(database, turn.id, "gpu0", 5).attempt
        turns.commit(database, turn.id, attempt, Reply(f"Hello {number}", (1, 2), "smol"))
    return chats.transcript(database, chat.id)


def record(database, chat, **changes):
    new = NewNote(**{"text": "Ada lost a key.", "tokens": (5, 6), "model_key": "smol"} | _SCENE | changes)
    return recording.record_note(database, chat.id, chats.get_revision(database, chat.id), WINDOW, new, 100.0)


_SCENE = {"first_ordinal": 0, "last_ordinal": 2, "written_after": 8}


def refusal(call, *arguments):
    with pytest.raises(Refused) as refused:
        call(*arguments)
    return refused.value.code


def test_a_note_and_the_window_behind_its_messages_are_kept_together(database, user, chat, told):
    note = record(database, chat)
    story = chats.load_story(database, chat.id)
    assert (story.notes, story.chat.window) == ((note,), WINDOW)
    assert (note.text, note.tokens, note.level, note.is_stale, note.is_by_hand) == (
        "Ada lost a key.",
        (5, 6),
        1,
        False,
        False,
    )
    assert notes.list_notes(database, user.id, chat.id) == (note,)


def test_a_note_is_not_kept_once_the_chat_has_moved_on_or_a_turn_has_begun(database, user, chat, told):
    revision = chats.get_revision(database, chat.id)
    new = NewNote("Ada lost a key.", (5,), "smol", **_SCENE)
    assert recording.record_note(database, chat.id, revision - 1, WINDOW, new) is None
    turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, chat.id, "chat", revision, "hi"))
    assert recording.record_note(database, chat.id, chats.get_revision(database, chat.id), WINDOW, new) is None
    assert not chats.load_story(database, chat.id).notes
    assert chats.load_story(database, chat.id).chat.window != WINDOW


def test_an_edited_note_is_read_at_the_end_under_another_name(database, user, chat, told):
    note = record(database, chat)
    revision = chats.get_revision(database, chat.id)
    edited, after = notes.edit_note(database, user.id, note.id, " Ada found the key. ", revision, 200.0)
    assert (edited.text, edited.tokens, edited.version, edited.written_after) == ("Ada found the key.", None, 2, 8)
    assert (edited.is_by_hand, after, chats.get_revision(database, chat.id)) == (True, revision + 1, revision + 1)
    assert refusal(notes.edit_note, database, user.id, note.id, "x", revision) == "moved_on"
    assert refusal(notes.edit_note, database, user.id, note.id, " ", after) == "empty"
    assert refusal(notes.edit_note, database, user.id, note.id, "x" * 2_001, after) == "too_long"


@pytest.mark.parametrize("change", ["edit", "delete", "choose"])
def test_a_note_is_stale_when_a_message_that_it_stands_for_changes(database, user, chat, told, change):
    note, other = record(database, chat), record(database, chat, first_ordinal=3, last_ordinal=4)
    revision = chats.get_revision(database, chat.id)
    match change:
        case "edit":
            edits.edit_message(database, user.id, told[2].id, "Another word", revision)
        case "delete":
            edits.delete_message(database, user.id, told[2].id, revision)
        case "choose":
            chats.choose_alternative(database, user.id, told[2].id, 0, revision)
    now = {one.id: one.is_stale for one in notes.list_notes(database, user.id, chat.id)}
    assert now == {note.id: True, other.id: False}
    again = record(database, chat, text="Ada lost two keys.", replaces=note.id)
    assert (again.id, again.version, again.is_stale, again.text) == (note.id, 2, False, "Ada lost two keys.")
    assert record(database, chat, replaces=note.id) is None, "it is not stale any more"


def test_of_two_workers_that_write_the_same_note_one_is_refused(database, user, chat, told):
    first = record(database, chat)
    assert first
    assert record(database, chat) is None, "the window is behind these messages already"
    assert record(database, chat, covers=(first.id,), first_ordinal=0).level == 2
    assert record(database, chat, covers=(first.id,)) is None, "another note has replaced it"
    assert len(notes.list_notes(database, user.id, chat.id)) == 2


def test_what_is_deleted_below_a_message_goes_with_its_notes_and_comes_back_with_them(database, user, chat, told):
    kept, cut, gone = (
        record(database, chat, first_ordinal=first, last_ordinal=last) for first, last in ((0, 2), (3, 5), (6, 7))
    )
    revision = edits.delete_below(database, user.id, told[4].id, chats.get_revision(database, chat.id))
    now = {one.id: one.is_stale for one in notes.list_notes(database, user.id, chat.id)}
    assert now == {kept.id: False, cut.id: True}
    edits.restore_below(database, user.id, told[4].id, revision)
    now = {one.id: one.is_stale for one in notes.list_notes(database, user.id, chat.id)}
    assert now == {kept.id: False, cut.id: True, gone.id: False}


def test_a_stale_note_by_hand_waits_for_a_person(database, user, chat, told):
    note = record(database, chat)
    _, revision = notes.edit_note(database, user.id, note.id, "By hand.", chats.get_revision(database, chat.id))
    edits.edit_message(database, user.id, told[2].id, "Another word", revision)
    assert notes.list_notes(database, user.id, chat.id)[0].is_stale
    assert record(database, chat, replaces=note.id) is None
    notes.rewrite_note(database, user.id, note.id, chats.get_revision(database, chat.id))
    assert record(database, chat, replaces=note.id).version == 3


def test_a_note_on_notes_replaces_them_until_it_is_deleted(database, user, chat, told):
    first, second = record(database, chat), record(database, chat, first_ordinal=3, last_ordinal=4)
    both = record(database, chat, text="Keys.", last_ordinal=4, covers=(first.id, second.id))
    assert both.level == 2
    assert chats.load_story(database, chat.id).notes == (both,)
    assert [one.covered_by for one in notes.list_notes(database, user.id, chat.id)].count(both.id) == 2
    revision = chats.get_revision(database, chat.id)
    _, revision = notes.delete_note(database, user.id, both.id, revision)
    assert [(one.id, one.version) for one in chats.load_story(database, chat.id).notes] == [
        (first.id, 2),
        (second.id, 2),
    ]
    notes.restore_note(database, user.id, both.id, revision)
    assert len(chats.load_story(database, chat.id).notes) == 3


def test_a_pinned_note_and_foreign_people(database, user, make_user, chat, told):
    note = record(database, chat)
    stranger = make_user("Grace")
    revision = chats.get_revision(database, chat.id)
    for call in (notes.delete_note, notes.rewrite_note, notes.restore_note):
        with pytest.raises(NotFound):
            call(database, stranger.id, note.id, revision)
    with pytest.raises(NotFound):
        notes.list_notes(database, stranger.id, chat.id)
    pinned, _ = notes.pin_note(database, user.id, note.id, True, revision)
    assert pinned.pinned


def test_a_branch_has_the_notes_on_its_own_messages(database, user, chat, told):
    first = record(database, chat)
    record(database, chat, first_ordinal=3, last_ordinal=6)
    branch = edits.branch(database, user.id, told[5].id)
    (copied,) = notes.list_notes(database, user.id, branch.id)
    assert (copied.text, copied.tokens, copied.written_after) == (first.text, first.tokens, 5)
    assert copied.id != first.id


def test_a_file_of_a_story_has_its_notes_and_its_switches(database, user, chat, told):
    first, second = record(database, chat), record(database, chat, first_ordinal=3, last_ordinal=4)
    record(database, chat, text="Ada lost a key and found a lamp.", last_ordinal=4, covers=(first.id, second.id))
    chats.change_chat(database, user.id, chat.id, memory={"recall": False})
    edits.delete_message(database, user.id, told[1].id, chats.get_revision(database, chat.id))
    exported = chat_transfer.export_chat(database, user.id, chat.id)
    read = native.read(native.write(exported), 0.0).document
    assert read == exported
    assert [(one.first, one.last, one.stale) for one in read.notes] == [(0, 1, True), (0, 3, True), (2, 3, False)]
    again = chat_transfer.import_chat(database, user.id, chat.character_id, read)
    assert again.memory == {"recall": False}
    assert chat_transfer.export_chat(database, user.id, again.id).notes == exported.notes
    (shown,) = chats.load_story(database, again.id).notes
    assert (shown.text, shown.level, shown.tokens) == ("Ada lost a key and found a lamp.", 2, None)
    assert "a lamp" in markdown.write(exported).decode()
    (account,) = [one for one in export.export_account(database, user.id)["chats"] if one["memory"]][:1]
    assert len(account["notes"]) == 3


@pytest.mark.parametrize(
    "changes", [{"first": 9}, {"first": 1, "last": 0}, {"covered_by": 5}, {"text": ""}, {"text": "x" * 2_001}]
)
def test_a_file_with_an_impossible_note_is_refused(database, user, chat, told, changes):
    record(database, chat)
    file = json.loads(native.write(chat_transfer.export_chat(database, user.id, chat.id)))
    file["notes"][0] |= {"last": 2} | changes
    with pytest.raises(Refused) as refused:
        native.read(json.dumps(file).encode(), 0.0)
    assert refused.value.code == "chat_damaged"


def test_a_file_without_notes_is_as_older_programs_know_it(database, user, chat, told):
    file = json.loads(native.write(chat_transfer.export_chat(database, user.id, chat.id)))
    assert not {"notes", "memory"} & file.keys()


def test_nothing_of_a_removed_story_stays(database, user, chat, told):
    record(database, chat)
    chats.delete_chat(database, user.id, chat.id, 1_000.0)
    removal.remove_deleted(database, keep_s=1.0, now=2_000.0)
    with database.reading() as session:
        assert not session.query(StoryNoteRow).count()


def test_there_is_room_for_so_many_notes_and_the_replaced_ones_go_first(database, user, chat, told, monkeypatch):
    monkeypatch.setattr(notes, "MAX_NOTES", 3)
    first, second = record(database, chat), record(database, chat, first_ordinal=3, last_ordinal=4)
    both = record(database, chat, last_ordinal=4, covers=(second.id,))
    third = record(database, chat, first_ordinal=5, last_ordinal=6)
    assert {one.id for one in notes.list_notes(database, user.id, chat.id)} == {first.id, both.id, third.id}


def test_switches_of_the_memory(database, user, chat):
    changed = chats.change_chat(database, user.id, chat.id, memory={"recall": False})
    assert changed.memory == {"recall": False}
    for wrong in ({"recall": 1}, {"other": True}):
        assert refusal(lambda value=wrong: chats.change_chat(database, user.id, chat.id, memory=value)) == "bad_setting"
