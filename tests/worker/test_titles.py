"""The model gives stories their titles in idle moments, and stands aside for everything else."""

import threading

import pytest
from worker_lane_jobs import wait_until

from store import chats, site_state, turns
from store.broker import events, keys
from store.models import Chat
from store.stories import titles
from worker.idle_model import IdleModel
from worker.jobs import run_turn
from worker.titles import TitleWriter

LATER = 4e9
SAID = "Messages"  # as the echo backend says of what it has heard: the word of the story that a title needs


@pytest.fixture
def told(make_context, database, chat, say):
    """`told(n)`: a context with a chat of n exchanges in its cells."""

    def begun(n=2):
        context = make_context(max_reply_tokens=12)
        for _ in range(n):
            run_turn(say(chat, SAID, chats.get_revision(database, chat.id)).id)
        return context

    return begun


@pytest.fixture
def chat(make_chat, user):
    return make_chat(user)


def writer_of(context):
    return TitleWriter(context, IdleModel(context), lambda: LATER)


def facts(database, chat):
    with database.reading() as session:
        row = session.get_one(Chat, chat.id)
        return row.title, row.title_from, row.revision


def test_a_story_gets_a_title_once_and_nothing_else_changes(told, database, chat, user):
    context = told()
    before = chats.load_story(database, chat.id)
    writer = TitleWriter(context, IdleModel(context), lambda: LATER)
    assert writer.tick() == chat.id
    title, title_from, revision = facts(database, chat)
    assert (title_from, revision) == ("model", before.chat.revision)
    assert title != "Mo"
    assert writer.tick() is None
    assert chats.load_story(database, chat.id).messages == before.messages


def test_the_next_turn_reads_nothing_twice(told, database, chat, say):
    context = told()
    assert TitleWriter(context, IdleModel(context), lambda: LATER).tick() == chat.id
    run_turn(say(chat, SAID, chats.get_revision(database, chat.id)).id)
    n_evaluated = chats.load_story(database, chat.id).messages[-1].chosen.stats["n_evaluated"]
    said = context.framing.segment("user", "Ada", SAID)
    assert n_evaluated <= len(said) + len(context.framing.reply_header("character", "Mo"))


def test_every_tab_of_its_owner_hears_of_the_title(told, chat, redis):
    context = told()
    with redis.pubsub() as tabs:
        tabs.subscribe(keys.people_channel())
        assert tabs.get_message(timeout=10)["type"] == "subscribe"
        assert TitleWriter(context, IdleModel(context), lambda: LATER).tick() == chat.id
        heard = tabs.get_message(timeout=10)
    assert events.decode(heard["data"]) == events.titled(chat.owner_id, chat.id)


def test_of_many_stories_in_cells_none_is_left_out(told, database, chat):
    told()
    others = {f"{number:032x}" for number in range(600)}
    assert titles.next_untitled(database, others | {chat.id}, LATER) == chat.id
    assert titles.next_untitled(database, others, LATER) is None


@pytest.mark.parametrize("n", [0, 1])
def test_a_story_that_has_hardly_begun_waits(told, n):
    assert writer_of(told(n)).tick() is None


def test_nobody_is_asked_while_somebody_writes_or_the_queue_is_paused(told, database, chat, say):
    context = told()
    assert TitleWriter(context, IdleModel(context), lambda: 0.0).tick() is None, "somebody has just written"
    site_state.set_pause(database, True)
    assert TitleWriter(context, IdleModel(context), lambda: LATER).tick() is None
    site_state.set_pause(database, False)
    say(chat, SAID, chats.get_revision(database, chat.id))
    assert TitleWriter(context, IdleModel(context), lambda: LATER).tick() is None, "a turn waits"


def test_a_turn_makes_it_stand_aside(make_context, told, database, chat, make_chat, user, say):
    told()
    context = make_context(echo_delay_ms=60, max_reply_tokens=12)
    run_turn(say(chat, SAID, chats.get_revision(database, chat.id)).id)
    model = IdleModel(context)
    writer, done = TitleWriter(context, model, lambda: LATER), []
    thread = threading.Thread(target=lambda: done.append(writer.tick()))
    thread.start()
    wait_until(lambda: model.at_work)
    turn = say(make_chat(user), SAID)
    run_turn(turn.id)
    thread.join(10)
    assert done == [None]
    assert turns.get_turn(database, turn.id).state == "done"
    assert facts(database, chat)[1] == ""


def test_a_title_by_hand_stays(told, database, chat, user):
    context = told()
    chats.change_chat(database, user.id, chat.id, title="Tea")
    assert TitleWriter(context, IdleModel(context), lambda: LATER).tick() is None
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
    assert TitleWriter(context, IdleModel(context), lambda: LATER).tick() is None


INN = "老板娘\nAda\n老铁匠？三天前他来过客栈，留下一把剑。\n我去追他们。"
SEA = "Mara\nAda\nThe old keeper lights the lamp on the rock. A kettle sings, for two.\nDon't look back!"


@pytest.mark.parametrize(
    ("reply", "title"),
    [
        ("The Lamp on the Rock", "The Lamp on the Rock"),
        ("Lamps of the North,", "Lamps of the North"),
        ("\n**Title: “A Kettle for Two.”**\nMore", "A Kettle for Two"),
        ("Don't Look Back!", "Don't Look Back!"),
        ("Dr. Kettle", "Dr. Kettle"),
        ("Mara", ""),
        ("Mara.", ""),
        ("", ""),
        ("...", ""),
        ("Title:", ""),
        ("The End", ""),
        ("This is a story about a woman who lives in a tower and lights a lamp", ""),
        ("The keeper lights the lamp. She sings.", ""),
        ("A lamp! A rock", ""),
        ("lamp" * 20, ""),
        ("Two to six words, no quotation marks, nothing else.", ""),
        ("The Lost City of Lost Dreams", ""),
        ("客栈的灯", ""),
        ("a\u202elamp", ""),
    ],
)
def test_what_may_become_a_title(reply, title):
    assert titles.title_of(reply, SEA, ("Mara", "Ada")) == title


@pytest.mark.parametrize(
    ("reply", "title"),
    [
        ("《客栈里的老铁匠》", "客栈里的老铁匠"),
        ("标题:老铁匠的剑。", "老铁匠的剑"),
        ("老板娘的故事", "老板娘的故事"),
        ("老板娘", ""),
        ("无题", ""),
        ("四到十二个字,不要引号,只写标题", ""),
        ("福制转发", ""),
        ("老铁匠来过！留下一把剑", ""),
        ("老铁匠三天前来过这家客栈还留下了一把剑说有人会来取", ""),
        ("The Blacksmith of the Inn", ""),
    ],
)
def test_what_may_become_a_chinese_title(reply, title):
    assert titles.title_of(reply, INN, ("老板娘", "Ada")) == title


def test_the_language_is_that_of_the_story():
    assert [titles.language_of(text) for text in (SEA, INN, "", "Lena says 你好 to everybody here.")] == [
        *("en", "zh", "en", "en")
    ]


def test_a_story_without_room_for_the_question_lets_others_have_their_titles(
    make_context, database, chat, make_chat, user, say
):
    other, context = make_chat(user), make_context(context=900, max_reply_tokens=12)
    for _ in range(3):
        run_turn(say(chat, "A long tale. " * 20, chats.get_revision(database, chat.id)).id)
    for _ in range(2):  # last, so that nothing has pushed this story out of the cells
        run_turn(say(other, SAID, chats.get_revision(database, other.id)).id)
    with database.session() as session:
        session.get_one(Chat, chat.id).updated_at = session.get_one(Chat, other.id).updated_at + 1  # asked about first
    writer = TitleWriter(context, IdleModel(context), lambda: LATER)
    given = [writer.tick() for _ in range(3)]
    assert (given.count(other.id), given.count(None)) == (1, 2)
