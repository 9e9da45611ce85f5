"""Many at once, and the plug pulled at any moment."""

import json
import random
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from store import chats, turns
from store.db import Database
from store.errors import Refused, StoreError
from store.turns import Reply, TurnCommand


def race(n_racers, call):
    """Run `call(i)` in as many threads, all let go at the same moment; returns results and refusal codes."""
    barrier = threading.Barrier(n_racers)

    def run(i):
        barrier.wait()
        try:
            return call(i)
        except StoreError as error:
            return error.code

    with ThreadPoolExecutor(n_racers) as pool:
        return list(pool.map(run, range(n_racers)))


def test_fifty_identical_sends_make_one_turn(database, user, chat):
    command = TurnCommand(uuid.uuid4().hex, chat.id, "chat", 1, "hi")
    results = race(50, lambda _: turns.begin_turn(database, user.id, command).turn)
    assert {(turn.id, turn.user_message_id) for turn in results} == {(command.id, results[0].user_message_id)}
    assert len(chats.transcript(database, chat.id)) == 2
    assert chats.get_revision(database, chat.id) == 2


def test_fifty_different_sends_into_one_chat_make_one_turn(database, user, chat):
    def submit(i):
        return turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, chat.id, "chat", 1, str(i))).turn

    results = race(50, submit)
    assert sorted(map(str, [r for r in results if isinstance(r, str)])) == ["moved_on"] * 49
    assert len(chats.transcript(database, chat.id)) == 2


def test_greedy_racers_get_two_turns(database, user, make_chat):
    mine = [make_chat(user) for _ in range(10)]

    def submit(i):
        return turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, mine[i].id, "chat", 1, "hi")).turn

    results = race(10, submit)
    assert results.count("too_many_waiting") == 8


def test_twenty_claims_give_one_attempt(database, user, chat):
    turn = turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, chat.id, "chat", 1, "hi")).turn
    results = race(20, lambda i: turns.claim(database, turn.id, f"gpu{i}", 5))
    assert results.count("not_claimable") == 19
    assert turns.get_turn(database, turn.id).attempt == 1


def test_twenty_commits_write_one_reply(database, user, chat):
    turn = turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, chat.id, "chat", 1, "hi")).turn
    turns.claim(database, turn.id, "gpu0", 5)
    results = race(20, lambda i: turns.commit(database, turn.id, 1, Reply(str(i))))
    assert results.count("stale_attempt") == 19
    assert len(chats.transcript(database, chat.id)) == 3


def test_dispatchers_queue_one_turn_per_person(database, user, make_chat):
    for _ in range(2):
        mine = make_chat(user)
        turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, mine.id, "chat", 1, "hi"))
    results = race(20, lambda _: turns.enqueue_next(database, user.id, "gpu0"))
    assert len([turn for turn in results if turn is not None]) == 1


TALK = """
import json, sys, uuid
from store import chats, turns
from store.db import Database
from store.errors import StoreError

url, owner, chat = sys.argv[1:]
db = Database(url)

def ack(*what):
    print(json.dumps(what), flush=True)

while True:
    for turn in turns.unfinished(db, chat_id=chat):
        claim = turns.claim(db, turn.id, "gpu0", 0.0)
        turns.save_partial(db, turn.id, claim.attempt, "Hel")
        reply = turns.commit(db, turn.id, claim.attempt, turns.Reply("Hello", tuple(range(200))), {"n": 1})
        ack("reply", turn.id, reply.message.id)
    kind = "retry" if uuid.uuid4().int % 3 == 0 else "chat"
    command = turns.TurnCommand(uuid.uuid4().hex, chat, kind, chats.get_revision(db, chat), "hi")
    try:
        turn = turns.begin_turn(db, owner, command).turn
        ack("turn", turn.id, turn.user_message_id)
    except StoreError as error:
        assert error.code == "nothing_to_retry", error.code
"""


def talk_until_killed(url, owner, chat, delay_s, n_acks=1):
    """Run TALK, SIGKILL it some time after so many acks; returns all its acks."""
    process = subprocess.Popen([sys.executable, "-c", TALK, url, owner, chat], stdout=subprocess.PIPE, text=True)
    with process.stdout as stdout:
        first = [stdout.readline() for _ in range(n_acks)]
        timer = threading.Timer(delay_s, process.kill)
        timer.start()
        lines = [*first, *stdout]
    process.wait()
    timer.join()
    assert process.returncode == -9
    return [json.loads(line) for line in lines if line.endswith("\n")]


def test_a_killed_process_leaves_no_half_state(database_url, database, user, chat):
    dice = random.Random(7)
    acks = []
    for _ in range(6):
        acks += talk_until_killed(database_url, user.id, chat.id, dice.uniform(0.0, 0.15))
    messages = {message.id: message for message in chats.transcript(database, chat.id)}
    assert [message.ordinal for message in messages.values()] == list(range(len(messages)))
    for kind, turn_id, message_id in acks:
        turn = turns.get_turn(database, turn_id)
        if kind == "reply":
            assert turn.state == "done"
            assert [a.turn_id for a in messages[message_id].alternatives].count(turn_id) == 1
        elif message_id is not None:
            assert messages[message_id].turn_id == turn_id
    n_said = sum(message.role == "user" for message in messages.values())
    n_written = sum(len([a for a in m.alternatives if a.turn_id]) for m in messages.values() if m.role != "user")
    assert chats.get_revision(database, chat.id) == 1 + n_said + n_written
    assert len(turns.unfinished(database)) <= 1


def test_processes_share_the_file(database_url, make_user, make_chat):
    people = [make_user(f"Person {n}") for n in range(2)]
    mine = [make_chat(person) for person in people]
    with ThreadPoolExecutor(2) as pool:
        talks = [
            pool.submit(talk_until_killed, database_url, a.id, b.id, 0.2, 10) for a, b in zip(people, mine, strict=True)
        ]
    assert all(len(talk.result()) >= 10 for talk in talks)


def test_two_databases_of_one_file_agree(database, database_url, user, chat):
    other = Database(database_url)
    results = race(
        10,
        lambda i: (
            turns.begin_turn(
                [database, other][i % 2], user.id, TurnCommand(uuid.uuid4().hex, chat.id, "chat", 1, "hi")
            ).turn
        ),
    )
    other.close()
    assert results.count("moved_on") == 9
    with pytest.raises(Refused):
        turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, chat.id, "chat", 2, "hi"))
