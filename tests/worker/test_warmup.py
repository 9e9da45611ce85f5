"""Chats that somebody opens are read ahead while nobody needs the worker."""

import threading

from worker_lane_jobs import wait_until

from store import chats, messages, turns
from store.broker import events, warmup
from store.models import Chat
from tests.harness.chat_channel import subscribe
from worker import heartbeat
from worker.jobs import run_turn
from worker.warmup import ChatWarmer


def opened(context, chat) -> None:
    heartbeat.announce(context, 1, context.engine.resident())
    assert warmup.ask(context.redis, chat.id) == context.worker_name


def grow(database, chat, n_messages) -> None:
    """As an import does: many messages, no turn."""
    with database.session() as session:
        row = session.get(Chat, chat.id)
        for number in range(n_messages):
            role, name = (("user", "Ada"), ("character", "Mo"))[number % 2]
            message = messages.add_message(session, row, role, name, None, 100.0 + number)
            session.flush()
            reply = messages.Reply(f"Line {number} of tale {chat.id[:6]}.")
            messages.add_alternative(session, message, reply, None, 100.0 + number)


def n_read(database, chat) -> int:
    return chats.load_story(database, chat.id).messages[-1].chosen.stats["n_evaluated"]


def test_what_was_woken_is_not_read_by_the_first_turn(make_context, database, make_chat, user, say):
    context = make_context()
    woken, other = make_chat(user), make_chat(user)
    for chat in (woken, other):
        grow(database, chat, 6)
    opened(context, woken)
    assert ChatWarmer(context).tick() == woken.id
    assert woken.id in context.engine.resident()
    for chat in (woken, other):
        run_turn(say(chat, "Hello", revision=1).id)
    assert n_read(database, other) > 2 * n_read(database, woken)
    segment = context.framing.segment("user", "Ada", "Hello")
    assert n_read(database, woken) <= len(segment) + len(context.framing.reply_header("character", "Mo"))


def test_a_long_story_is_woken_with_its_newest_part(make_context, database, redis, make_chat, user, say):
    context = make_context(context=512)
    chat = make_chat(user)
    grow(database, chat, 200)
    with subscribe(redis, chat.id) as heard:
        opened(context, chat)
        assert ChatWarmer(context).tick() == chat.id
        assert chats.get_chat(database, user.id, chat.id).window["messages"] > 150
        announced = next(message for message in heard.listen() if message["type"] == "message")
        assert events.decode(announced["data"]) == {"type": "memory", "chat": chat.id}
    run_turn(say(chat, "Hello", revision=1).id)
    assert n_read(database, chat) < 60, "the first turn finds the very window that was woken"


def test_a_turn_makes_it_stand_aside(make_context, database, make_chat, user, say):
    context = make_context(echo_delay_ms=40)
    long, other = make_chat(user), make_chat(user)
    grow(database, long, 60)
    opened(context, long)
    warmer, done = ChatWarmer(context), []
    thread = threading.Thread(target=lambda: done.append(warmer.tick()))
    thread.start()
    wait_until(lambda: warmer.at_work)
    turn = say(other, "Hello")
    run_turn(turn.id)
    thread.join(10)
    assert done == [None], "the turn did not wait for the end of the waking"
    assert turns.get_turn(database, turn.id).state == "done"
    assert chats.get_chat(database, user.id, long.id).window == {}


def test_nothing_is_woken_twice_or_while_a_turn_is_under_way(make_context, database, redis, chat, say):
    context = make_context()
    warmer = ChatWarmer(context)
    assert warmer.tick() is None, "nobody has opened anything"
    opened(context, chat)
    turn = say(chat, "Hello")
    assert warmer.tick() is None
    run_turn(turn.id)
    opened(context, chat)
    assert warmer.tick() is None, "it is in the cells already"
    assert warmup.take(redis, context.worker_name) is None


def test_wishes_grow_old_and_the_newest_comes_first(redis, make_context):
    context = make_context()
    heartbeat.announce(context, 1, ())
    for number in range(warmup.MAX_HINTS + 5):
        warmup.ask(redis, f"{number:032x}", now=1000.0 + number)
    assert warmup.take(redis, context.worker_name, now=1040.0) == f"{warmup.MAX_HINTS + 4:032x}"
    assert warmup.take(redis, context.worker_name, now=5000.0) is None
    assert redis.zcard(f"inglenook:worker:{context.worker_name}:wakes") == warmup.MAX_HINTS - 2


def test_a_window_is_kept_only_if_nothing_has_happened(database, chat, say):
    assert warmup.keep_window(database, chat.id, 1, {"examples": 0, "messages": 1})
    assert not warmup.keep_window(database, chat.id, 1, {"examples": 0, "messages": 1}), "it is that already"
    assert not warmup.keep_window(database, chat.id, 7, {"examples": 0, "messages": 2}), "the chat has moved on"
    say(chat, "Hello")
    revision = chats.get_revision(database, chat.id)
    assert not warmup.keep_window(database, chat.id, revision, {"examples": 0, "messages": 2}), "a turn is under way"
    assert not warmup.keep_window(database, "0" * 32, 1, {})
