"""The model notes, in idle moments, what is about to leave the context window, and nothing is read twice for it."""

import threading
from functools import partial

import pytest
from worker_lane_jobs import wait_until

from engine.backends import echo
from store import chats, edits, search, site_state, turns
from store.memory import notes
from store.memory.note_text import note_of
from worker.idle_model import IdleModel
from worker.jobs import run_turn
from worker.remember import NoteWriter

LATER = 4e9
CONTEXT, REPLY = 2600, 40  # the echo backend's tokens are bytes
FULL = 16  # exchanges that nearly fill it
RARE = "Number 01: Odalys hides the silver lantern in her cellar."


def as_it_is(beginning, reply, told, questions):
    """Any answer is a note: the echo backend repeats the question."""
    return beginning + reply


@pytest.fixture
def chat(make_chat, user):
    return make_chat(user)


@pytest.fixture
def exchange(database, chat, say):
    """`exchange(n)`: somebody says something and is answered; how many tokens were read."""

    def run(number):
        text = f"Number {number:02d}: the keeper has lost a key, and the sea goes on." if number != 1 else RARE
        run_turn(say(chat, text, chats.get_revision(database, chat.id)).id)
        return chats.load_story(database, chat.id).messages[-1].chosen.stats["n_evaluated"]

    return run


def writer_of(context):
    return NoteWriter(context, IdleModel(context), lambda: LATER, as_it_is)


@pytest.fixture
def full(make_context, exchange):
    """A context whose chat nearly fills it."""
    context = make_context(context=CONTEXT, max_reply_tokens=REPLY)
    for number in range(FULL):
        exchange(number)
    return context


def shown_notes(database, chat):
    return chats.load_story(database, chat.id).notes


@pytest.mark.parametrize("kind", [{}, {"kind": "window", "n_window": 300}, {"kind": "hybrid"}], ids=str)
def test_a_note_is_written_where_the_scene_stands_and_the_next_turn_reads_its_own_tokens(
    make_context, database, chat, exchange, kind, monkeypatch
):
    monkeypatch.setattr(echo, "EchoBackend", partial(echo.EchoBackend, **kind))
    context = make_context(context=CONTEXT, max_reply_tokens=REPLY)
    before = [exchange(number) for number in range(FULL)]
    story = chats.load_story(database, chat.id)
    assert writer_of(context).tick() == chat.id
    (note,) = shown_notes(database, chat)
    assert note.text.startswith("Earlier,")
    assert note.first_ordinal == 0
    assert note.written_after == story.messages[-1].ordinal
    window = chats.load_story(database, chat.id).chat.window
    assert window["messages"] == note.last_ordinal + 1
    assert chats.get_revision(database, chat.id) == story.chat.revision, "nothing that a tab shows has changed"
    after = [exchange(number) for number in range(FULL, FULL + 3)]
    assert max(after) <= max(before[1:]) + 1, "nothing was read again"


def test_a_story_with_room_gets_no_note_and_is_looked_at_once(make_context, database, chat, exchange, monkeypatch):
    context = make_context(context=CONTEXT, max_reply_tokens=REPLY)
    for number in range(4):
        exchange(number)
    writer = writer_of(context)
    assert writer.tick() is None
    monkeypatch.setattr(chats, "load_story", None)
    assert writer.tick() is None


def test_many_notes_become_one_and_nothing_is_read_twice(make_context, database, chat, exchange):
    context = make_context(context=CONTEXT, max_reply_tokens=REPLY)
    chats.change_chat(database, chat.owner_id, chat.id, memory={"recall": False})  # it would read tokens of its own
    writer, read = writer_of(context), []
    for number in range(40):
        read.append(exchange(number % 100))
        while writer.tick():
            pass
    assert len(notes.list_notes(database, chat.owner_id, chat.id)) > 4
    assert any(note.level == 2 for note in notes.list_notes(database, chat.owner_id, chat.id))
    assert max(read[1:]) <= read[2] + 1


def test_nobody_is_asked_while_somebody_writes_or_notes_are_off(full, database, chat, say):
    assert NoteWriter(full, IdleModel(full), lambda: 0.0, as_it_is).tick() is None, "somebody has just written"
    site_state.set_pause(database, True)
    assert writer_of(full).tick() is None
    site_state.set_pause(database, False)
    chats.change_chat(database, chat.owner_id, chat.id, memory={"notes": False})
    assert writer_of(full).tick() is None
    chats.change_chat(database, chat.owner_id, chat.id, memory={})
    say(chat, "Hello", chats.get_revision(database, chat.id))
    assert writer_of(full).tick() is None, "a turn waits"
    assert not shown_notes(database, chat)


def test_a_turn_makes_it_stand_aside_and_nothing_is_lost(make_context, database, chat, exchange, make_chat, user, say):
    fast = make_context(context=CONTEXT, max_reply_tokens=REPLY)
    for number in range(FULL):
        exchange(number)
    fast.engine.close()
    context = make_context(context=CONTEXT, max_reply_tokens=REPLY, echo_delay_ms=30)
    run_turn(say(chat, "The keeper waits.", chats.get_revision(database, chat.id)).id)
    model, done = IdleModel(context), []
    writer = NoteWriter(context, model, lambda: LATER, as_it_is)
    thread = threading.Thread(target=lambda: done.append(writer.tick()))
    thread.start()
    wait_until(lambda: model.at_work)
    turn = say(make_chat(user), "Hello")
    run_turn(turn.id)
    thread.join(10)
    assert done == [None]
    assert turns.get_turn(database, turn.id).state == "done"
    assert not shown_notes(database, chat)
    run_turn(say(chat, "The keeper waits.", chats.get_revision(database, chat.id)).id)
    assert writer.tick() == chat.id, "it is written later"


def test_a_stale_note_is_written_again_from_the_messages(full, database, chat, exchange):
    asked = []
    writer = NoteWriter(full, IdleModel(full), lambda: LATER, lambda *said: asked.append(said[3][0]) or as_it_is(*said))
    assert writer.tick() == chat.id
    (note,) = shown_notes(database, chat)
    told = chats.transcript(database, chat.id)
    edits.edit_message(
        database, chat.owner_id, told[1].id, "Number 00: a lantern.", chats.get_revision(database, chat.id)
    )
    assert shown_notes(database, chat)[0].is_stale
    exchange(70)
    assert writer.tick() == chat.id
    (again,) = shown_notes(database, chat)
    assert (again.id, again.version, again.is_stale) == (note.id, 2, False)
    assert "a lantern" in asked[-1]
    assert exchange(71) < 200


def test_a_note_leaves_what_was_recalled_where_it_stands(full, database, chat, say):
    """The retry of a reply that a note was written behind finds the recalled passage where it was."""
    assert writer_of(full).tick() == chat.id

    def play(kind, text=""):
        run_turn(say(chat, text, chats.get_revision(database, chat.id), kind).id)
        return chats.load_story(database, chat.id).messages[-1].chosen.stats

    for number in range(6):
        play("chat", f"A quiet evening, the {number}th, with rain on the roof and tea on the table.")
    while search.index_some(database):
        pass
    told = play("chat", "Where does Odalys hide the lantern?")
    assert told["recalled"]
    for _ in range(12):
        if writer_of(full).tick():
            break
        told = play("chat", "Where does Odalys hide the lantern?")
    assert len(notes.list_notes(database, chat.owner_id, chat.id)) == 2
    again = play("retry")
    assert again["recalled"] == told["recalled"]
    newest = notes.list_notes(database, chat.owner_id, chat.id)[-1]  # it stood behind the reply that went
    framing = full.framing
    cost = len(framing.segment("narrator", "Narrator", newest.text)) + len(framing.reply_header("character", "Mo"))
    assert again["n_evaluated"] <= cost


def test_an_edited_note_costs_its_own_tokens(full, database, chat, exchange):
    assert writer_of(full).tick() == chat.id
    plain = exchange(80)
    (note,) = shown_notes(database, chat)
    text = "The keeper found the key under the stove."
    notes.edit_note(database, chat.owner_id, note.id, text, chats.get_revision(database, chat.id))
    cost = len(full.framing.segment("narrator", "Narrator", text))
    assert exchange(81) <= plain + cost + 1
    assert exchange(82) <= plain + 1


def test_a_deleted_note_leaves_without_a_trace(full, database, chat, exchange):
    assert writer_of(full).tick() == chat.id
    plain = exchange(80)
    (note,) = shown_notes(database, chat)
    notes.delete_note(database, chat.owner_id, note.id, chats.get_revision(database, chat.id))
    assert exchange(81) <= plain + 1


TOLD = "Mara: The old keeper lost the brass key under the stove.\nAda: I promise to come back on Friday with oil."
TOLD_ZH = "老板娘: 老铁匠三天前来过客栈,留下一把剑。\nAda: 我答应周五回来取剑。"


@pytest.mark.parametrize(
    ("reply", "is_note"),
    [
        (" the old keeper lost the brass key under the stove, and Ada promised to come back on Friday.", True),
        (" the keeper.", False),
        (" names, places, things, numbers, promises. Only facts. The narrator sums up what happened earlier.", False),
        (" the keeper lost the key. The keeper lost the key. The keeper lost the key. The keeper lost the key.", False),
        (" I had lost the brass key under my stove, and the old keeper told me to come back on Friday.", False),
        (" the keeper said “I lost my key, I promise”: the brass key, under the old stove, on Friday.", True),
        (
            " the keeper of the brass key met seventeen strange travellers, sailed around golden islands, became king "
            "of the northern mountains and married a princess who was baking wonderful cakes without sugar.",
            False,
        ),
        (" a dragon flew over seven mountains while nobody at all was watching its golden wings.", False),
        ("，老铁匠三天前来过客栈，留下一把剑，Ada答应周五回来取剑。", False),
    ],
)
def test_what_may_become_a_note(reply, is_note):
    question = "The narrator sums up what happened earlier: names, places, things, numbers, promises. Only facts."
    assert bool(note_of("Earlier,", reply, TOLD, (question,))) == is_note


def test_what_may_become_a_chinese_note():
    assert note_of("此前，", "老铁匠三天前来过客栈，留下一把剑，Ada答应周五回来取剑。", TOLD_ZH).startswith(
        "此前，老铁匠"
    )
    assert not note_of("此前，", "the old blacksmith left a sword at the inn three days ago.", TOLD_ZH)
