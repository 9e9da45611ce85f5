"""The model gives stories their titles in idle moments, and stands aside for everything else."""

import threading

import pytest
from worker_lane_jobs import wait_until

from store import chats, site_state, turns
from store.models import Chat
from store.stories import titles
from worker.jobs import run_turn
from worker.titles import TitleWriter

LATER = 4e9


@pytest.fixture
def told(make_context, database, chat, say):
    """`told(n)`: a context with a chat of n exchanges in its cells."""

    def begun(n=2):
        context = make_context(max_reply_tokens=12)
        for _ in range(n):
            run_turn(say(chat, "Hello", chats.get_revision(database, chat.id)).id)
        return context

    return begun


@pytest.fixture
def chat(make_chat, user):
    return make_chat(user)


def facts(database, chat):
    with database.reading() as session:
        row = session.get_one(Chat, chat.id)
        return row.title, row.title_from, row.revision


def test_a_story_gets_a_title_once_and_nothing_else_changes(told, database, chat, user):
    context = told()
    before = chats.load_story(database, chat.id)
    writer = TitleWriter(context, lambda: LATER)
    assert writer.tick() == chat.id
    title, title_from, revision = facts(database, chat)
    assert (title_from, revision) == ("model", before.chat.revision)
    assert title != "Mo"
    assert writer.tick() is None
    assert chats.load_story(database, chat.id).messages == before.messages


def test_the_next_turn_reads_nothing_twice(told, database, chat, say):
    context = told()
    assert TitleWriter(context, lambda: LATER).tick() == chat.id
    run_turn(say(chat, "Hello", chats.get_revision(database, chat.id)).id)
    n_evaluated = chats.load_story(database, chat.id).messages[-1].chosen.stats["n_evaluated"]
    said = context.framing.segment("user", "Ada", "Hello")
    assert n_evaluated <= len(said) + len(context.framing.reply_header("character", "Mo"))


@pytest.mark.parametrize("n", [0, 1])
def test_a_story_that_has_hardly_begun_waits(told, n):
    assert TitleWriter(told(n), lambda: LATER).tick() is None


def test_nobody_is_asked_while_somebody_writes_or_the_queue_is_paused(told, database, chat, say):
    context = told()
    assert TitleWriter(context, lambda: 0.0).tick() is None, "somebody has just written"
    site_state.set_pause(database, True)
    assert TitleWriter(context, lambda: LATER).tick() is None
    site_state.set_pause(database, False)
    say(chat, "Hello", chats.get_revision(database, chat.id))
    assert TitleWriter(context, lambda: LATER).tick() is None, "a turn waits"


def test_a_turn_makes_it_stand_aside(make_context, told, database, chat, make_chat, user, say):
    told()
    context = make_context(echo_delay_ms=60, max_reply_tokens=12)
    run_turn(say(chat, "Hello", chats.get_revision(database, chat.id)).id)
    writer, done = TitleWriter(context, lambda: LATER), []
    thread = threading.Thread(target=lambda: done.append(writer.tick()))
    thread.start()
    wait_until(lambda: writer.at_work)
    turn = say(make_chat(user), "Hello")
    run_turn(turn.id)
    thread.join(10)
    assert done == [None]
    assert turns.get_turn(database, turn.id).state == "done"
    assert facts(database, chat)[1] == ""


def test_a_title_by_hand_stays(told, database, chat, user):
    context = told()
    chats.change_chat(database, user.id, chat.id, title="Tea")
    assert TitleWriter(context, lambda: LATER).tick() is None
    assert facts(database, chat)[:2] == ("Tea", "hand")
    assert not titles.give_title(database, chat.id, chats.get_revision(database, chat.id), "Coffee")


def test_a_story_that_moved_on_meanwhile_keeps_its_title(told, database, chat):
    told()
    assert not titles.give_title(database, chat.id, 1, "Late")
    assert facts(database, chat)[:2] == ("Mo", "")


def test_an_answer_without_a_title_is_not_asked_for_again(told, database, chat):
    context = told()
    assert titles.give_title(database, chat.id, chats.get_revision(database, chat.id), "")
    assert facts(database, chat)[:2] == ("Mo", "model")
    assert TitleWriter(context, lambda: LATER).tick() is None


@pytest.mark.parametrize(
    ("reply", "title"),
    [
        ("The Lamp on the Rock", "The Lamp on the Rock"),
        ("\n**Title: “A Kettle for Two.”**\nMore", "A Kettle for Two"),
        ("《雨夜的茶馆》", "雨夜的茶馆"),
        ("标题:客栈里的老铁匠。", "客栈里的老铁匠"),
        ("Mo", ""),
        ("", ""),
        ("...", ""),
        ("This is a story about a woman who lives in a tower and drinks tea", ""),
        ("x" * 70, ""),
        ("Don't Look Back", "Don't Look Back"),
    ],
)
def test_what_may_become_a_title(reply, title):
    assert titles.title_of(reply, ("Mo",)) == title


def test_a_story_without_room_for_the_question_lets_others_have_their_titles(
    make_context, database, chat, make_chat, user, say
):
    other, context = make_chat(user), make_context(context=900, max_reply_tokens=12)
    for _ in range(2):
        run_turn(say(other, "Hello", chats.get_revision(database, other.id)).id)
    for _ in range(3):
        run_turn(say(chat, "A long tale. " * 20, chats.get_revision(database, chat.id)).id)
    writer = TitleWriter(context, lambda: LATER)
    assert [writer.tick() for _ in range(3)] == [None, other.id, None]
