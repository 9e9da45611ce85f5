"""Who used how much: sums of what turns took, by person and day, and what people keep."""

import datetime as dt
import uuid

import pytest

from store import characters, chats, turns, usage
from store.turns import Outcome, Reply, TurnCommand
from store.usage import Spent, StoredAmount

NOON = dt.datetime(2026, 3, 29, 12).timestamp()  # in much of Europe a day of 23 hours
DAY = 86_400.0


@pytest.fixture
def play(database):
    """`play(chat, ended_at, wait=, **spent)`: a turn that is done at that time."""

    def one(chat, ended_at, wait=2.0, text="Hello", **spent):
        command = TurnCommand(uuid.uuid4().hex, chat.id, "chat", chats.get_revision(database, chat.id), "hi")
        turn = turns.begin_turn(database, chat.owner_id, command, ended_at - wait - 5).turn
        claim = turns.claim(database, turn.id, "gpu0", 30, ended_at - 5)
        turns.commit(database, turn.id, claim.attempt, Outcome((Reply(text),), spent=spent), now=ended_at)

    return one


def test_seconds_and_tokens_are_added_up_by_person_and_day(database, make_user, make_chat, play):
    ada, bo = make_user("Ada"), make_user("Bo")
    mine, his = make_chat(ada), make_chat(bo)
    play(mine, NOON, wait_s=0.5, wake_s=0.25, read_s=1.0, write_s=3.0, n_evaluated=40, n_generated=20, n_kept=7)
    play(mine, NOON + 60, wait=1.0, read_s=2.0, n_evaluated=10, n_restored=3, n_shared=4)
    play(mine, NOON - DAY, write_s=9.0, n_generated=30)
    play(his, NOON - 20 * DAY, write_s=1.0)  # too long ago
    found = usage.per_day(database, 3, NOON + 3600)
    assert found.days == (dt.date(2026, 3, 27), dt.date(2026, 3, 28), dt.date(2026, 3, 29))
    assert set(found.people) == {ada.id}
    before, yesterday, today = found.people[ada.id]
    assert before == Spent()
    assert yesterday == Spent(1, 2.0, write_s=9.0, tokens_written=30)
    assert today == Spent(2, 3.5, 0.25, 3.0, 3.0, 50, 20, 14)
    assert today.busy_s == 6.25
    assert found.by_day == (before, yesterday, today)


def test_who_stopped_before_anything_began_has_waited_and_nothing_more(database, user, chat):
    turn = turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, chat.id, "chat", 1, "hi"), NOON).turn
    turns.request_cancel(database, user.id, turn.id, NOON + 4)
    assert usage.per_day(database, 1, NOON + 5).people[user.id] == (Spent(1, 4.0),)


def test_a_house_in_which_nobody_plays(database):
    found = usage.per_day(database, 2, NOON)
    assert (found.people, found.by_day) == ({}, (Spent(), Spent()))


def test_days_begin_at_midnight_of_the_servers_clock(database, user, chat, play):
    midnight = dt.datetime(2026, 3, 29).timestamp()
    play(chat, midnight - 1, n_generated=1)
    play(chat, midnight, n_generated=10)
    days = usage.per_day(database, 2, NOON).people[user.id]
    assert [day.tokens_written for day in days] == [1, 10]


def test_what_people_keep_is_counted_in_bytes(database, make_user, make_chat, play):
    ada, bo = make_user("Ada"), make_user("Bo")
    chat = make_chat(ada)
    before = usage.stored_per_person(database)[ada.id]
    play(chat, NOON, text="\u706b\u706b")
    after = usage.stored_per_person(database)
    assert (after[ada.id].messages, after[ada.id].text_bytes) == (before.messages + 2, before.text_bytes + 2 + 6)
    assert after[bo.id] == StoredAmount()
    assert after[ada.id].n_bytes == after[ada.id].text_bytes + after[ada.id].token_bytes
    assert characters.list_characters(database, bo)
