"""What the side-by-side bench counts with: the peers' client, its window, and the tables."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import side_by_side
from bench.peers.client import ClientChat, Prompt, Reply
from bench.peers.system import Setting, Turn, until
from bench.peers.talk import CHAR, LORE, LORE_WORD, USER, Words
from bench.scenarios.many import lateness, tokens_per_s
from bench.scenarios.table import Result
from bench.scenarios.turns import Step, _judge_ours, beside_neighbours
from deploy.managed_redis import ManagedRedis
from engine.model.hardware import demo_model
from tests.harness.processes import of

CONTEXT = 700


def turn(first_s=0.1, total_s=1.0, pieces=(), sent_at=0.0, generated=3):
    return Turn(first_s, total_s, 0, generated, "x" * sum(size for _, size in pieces), tuple(pieces), sent_at)


@pytest.fixture(scope="module")
def words():
    made = Words(demo_model())
    yield made
    made.close()


@pytest.fixture
def asked():
    return []


@pytest.fixture
def chat(words, asked):
    def complete(prompt: Prompt) -> Reply:
        asked.append(prompt)
        return Reply(turn(), tuple(words.backend.tokenize("Hello there.", special=False)))

    return ClientChat(words.history(1, 500), words, Setting(demo_model(), CONTEXT, reply=8), complete)


def last_lines(asked):
    return [line.text for line in asked[-1].lines]


@pytest.mark.model
def test_a_history_is_as_long_as_asked_and_never_the_same(words):
    one, other = words.history(1, 900), words.history(2, 900)
    total = len(words.persona.tokens) + sum(len(line.tokens) for line in one)
    assert 840 <= total <= 960
    assert one[-1].role == "character"
    assert not {line.text for line in one} & {line.text for line in other}


@pytest.mark.model
def test_the_client_sends_what_was_read_before_and_forgets_the_oldest(chat, asked, words):
    forgotten = [0]
    for number in range(8):
        chat.send(words.message(number, 40))
        forgotten.append(chat.n_forgotten())
        assert len(asked[-1].tokens()) + 8 <= CONTEXT
        assert asked[-1].lines[0] is words.persona
        if number and forgotten[-1] == forgotten[-2]:
            before = asked[-2].tokens()
            assert asked[-1].tokens()[: len(before)] == before
    assert 0 < len(set(forgotten)) - 1 < 8


@pytest.mark.model
def test_retry_edit_and_lore_as_a_frontend_does_them(chat, asked):
    chat.send("One.")
    first = asked[-1].tokens()
    chat.retry()
    assert asked[-1].tokens() == first
    chat.edit("Two.")
    assert last_lines(asked)[-1] == "Two."
    assert "One." not in last_lines(asked)
    chat.send(f"The {LORE_WORD}?")
    assert last_lines(asked)[-2] == LORE
    chat.suggest()
    n_lines = len(last_lines(asked))
    chat.send("Three.")
    assert LORE not in last_lines(asked)
    assert len(last_lines(asked)) == n_lines
    assert (asked[-1].lines[-1].name, asked[-1].lines[-2].name) == (USER, CHAR)


def test_a_redis_that_names_itself_anew_belongs_to_its_house(tmp_path):
    server = ManagedRedis(tmp_path / "redis")
    inside = dict(os.environ, INGLENOOK_DATA_DIR=str(tmp_path))
    redis = subprocess.Popen(server.command(tmp_path / "redis.conf"), stdout=subprocess.DEVNULL)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=inside)
    try:
        until(lambda: str(tmp_path).encode() not in _cmdline(redis.pid), "its title")
        assert sorted(of(tmp_path)) == sorted([redis.pid, other.pid])
    finally:
        for process in (redis, other):
            process.kill()
            process.communicate()
    assert of(tmp_path) == []


def _cmdline(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_an_overflow_turn_is_compared_with_its_neighbours():
    walk = [Step(turn(total_s=seconds), over) for seconds, over in ((1.0, False), (1.5, True), (2.0, False))]
    assert beside_neighbours(walk) == [1.0]


def test_reading_again_is_compared_with_the_overflow_turns_alone():
    walk = [Step(turn(first_s=first, total_s=1.0), over) for first, over in ((9.0, False), (0.5, True), (9.0, False))]
    result = Result()
    _judge_ours(result, walk, 12.0, "in a long context: ")
    assert [(row.what[:18], row.measured, row.verdict) for row in result.rows] == [
        ("in a long context:", "1.00 (n=1)", "met"),
        ("in a long context:", "24.0x (500 ms / 12000 ms)", "met"),
    ]


def test_a_walk_without_an_overflow_says_so():
    result = Result()
    _judge_ours(result, [Step(turn(), False)] * 3, 12.0)
    assert [(row.measured, row.verdict) for row in result.rows] == [("no overflow came", "")]


def test_speed_counts_while_everybodys_text_flows():
    one = turn(pieces=((1.0, 2), (4.0, 2), (5.0, 4)), sent_at=10.0, generated=4)  # 11, 14 and 15 on the clock
    other = turn(pieces=((2.0, 2), (3.0, 4), (6.0, 4)), sent_at=11.0, generated=5)  # 13, 14 and 17
    assert tokens_per_s([one, other]) == (4 * 6 / 8 + 5 * 4 / 10) / 2.0


def test_lateness_follows_the_characters(tmp_path):
    file = tmp_path / "given"
    file.write_text("100.000 chat 3\n100.001 other 9\n100.002 chat 2\n100.030 chat 4\n")
    told = turn(pieces=((0.005, 5), (0.032, 4)), sent_at=100.0)
    late = lateness(file, "chat", [told])
    assert [round(ms) for ms in late] == [5, 3, 2]


def test_parts_that_were_not_run_say_so(tmp_path, capsys):
    result = Result()
    result.judge("f", "save / memcpy", "0.5", ">= 0.7", False, "it is slow")
    kept = {"rows": [row.raw() for row in result.rows], "tables": [], "raw": {}, "quick": True}
    (tmp_path / "f.json").write_text(json.dumps(kept))
    side_by_side.report("a model", dry=True, folder=tmp_path)
    said = capsys.readouterr().out
    assert "| f | save / memcpy | 0.5 (quick) | >= 0.7 | missed | it is slow |" in said
    assert said.count("not measured") == len(side_by_side.PARTS)
