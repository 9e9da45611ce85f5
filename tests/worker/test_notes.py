"""Notes and pins with the echo engine: where they stand, what they cost, and that they leave no trace."""

import pytest
from test_turn_kinds import Play

from store import chats, edits


@pytest.fixture
def play(make_context, database, redis, chat):
    make_context(max_reply_tokens=400, context=4096)
    return Play(database, redis, chat)


def set_notes(play, **notes):
    chats.change_chat(play.database, play.chat.owner_id, play.chat.id, **notes)


def n_messages_heard(message):
    return int(message.text.split("(")[1].split(" ")[0])


def test_a_note_costs_its_own_tokens_and_leaves_without_a_trace(play):
    play("chat", "One")
    plain = n_messages_heard(play("chat", "Two")[-1])
    n_plain = play.n_evaluated()
    set_notes(play, author_note="Be brief, {{char}}.", reference="The cat is called Admiral.")
    assert n_messages_heard(play("chat", "Six")[-1]) == plain + 2 + 2
    n_notes = play.n_evaluated() - n_plain
    assert 0 < n_notes < 100
    play("retry")
    assert play.n_evaluated() == 0
    play("suggest")
    play("retry")
    assert play.n_evaluated() == 0
    play("chat", "Ten")
    assert play.n_evaluated() == n_plain + n_notes
    set_notes(play, author_note="", reference=" ")
    assert n_messages_heard(play("chat", "Not")[-1]) == plain + 3 * 2
    assert play.n_evaluated() == n_plain


def test_an_edit_is_read_again_from_there_and_a_delete_is_gone(play):
    play("chat", "One")
    question = play("chat", "Two")[-2]
    revision = chats.get_revision(play.database, play.chat.id)
    edits.edit_message(play.database, play.chat.owner_id, question.id, "Too", revision)
    play("retry")
    assert "heard: Too" in play.messages()[-1].text
    revision = chats.get_revision(play.database, play.chat.id)
    edits.delete_message(play.database, play.chat.owner_id, play.messages()[-2].id, revision)
    heard = n_messages_heard(play("chat", "Three")[-1])
    assert heard == 1 + len(play.messages()) - 1  # the persona, and all but the reply itself


def test_a_branch_wakes_without_reading(play):
    play("chat", "One")
    last = play("chat", "Two")[-1]
    branch = edits.branch(play.database, play.chat.owner_id, last.id)
    other = Play(play.database, play.redis, branch)
    other("chat", "Ten")
    play("chat", "Six")
    assert other.n_evaluated() == play.n_evaluated()
    assert [m.text for m in other.messages()[:-2]] == [m.text for m in play.messages()[:-2]]


def test_a_pinned_message_never_leaves_the_memory(make_context, database, redis, chat):
    make_context(max_reply_tokens=100, context=700)
    play = Play(database, redis, chat)
    secret = play("chat", "The word is Admiral")[-2]
    revision = chats.get_revision(database, chat.id)
    assert edits.pin_message(database, chat.owner_id, secret.id, True, revision).pinned
    for n in range(8):
        play("chat", f"Number {n} {'x' * 40}")
    window = chats.load_story(database, chat.id).chat.window
    assert window["messages"] > secret.ordinal
    from engine import Framing
    from worker.prompt.build import plan_part
    from worker.prompt.segments import Limits

    framing = Framing(play_backend(play), play_backend(play).chat_template)
    turn = play.submit("retry")
    plan = plan_part(chats.load_story(database, chat.id), turn, "retry", framing, Limits(700, 100, "echo"))
    assert b"The word is Admiral" in b"".join(bytes(t for t in s.tokens if t < 256) for s in plan.wanted)
    assert [segment.name for segment in plan.wanted][2].startswith("user:")


def play_backend(_play):
    from worker.context import current_context

    return current_context().engine.backend
