"""The stack as `make run` starts it, with the echo backend: it starts, survives kill -9 of each part, and stops."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from store.broker import registry
from store.db import Database
from store.shelf import choices, reading
from tests.engine import tiny_models
from tests.harness import processes
from tests.harness.people import Player
from tests.harness.processes import environ_of, free_port
from tests.harness.stack import ROOT, Stack
from tests.harness.waiting import wait_for

VICTIMS = {"worker": ("-m\0worker",), "web": ("gunicorn",), "redis": ("redis-server",)}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    stack = Stack(tmp_path_factory.mktemp("stack"), backend="echo", echo_delay_ms=20, max_reply_tokens=80)
    try:
        yield stack.start()
    finally:
        stack.end(signal.SIGTERM)


@pytest.fixture(scope="module")
def person(stack):
    person = Player(stack.address).sign_up(stack.first_invitation, "Ada")
    yield person
    person.close()


@pytest.fixture
def player(person):
    """A person with a new chat."""
    return person.begin()


def run_to_its_end(tmp_path, **settings):
    """Start a stack that cannot start; its status and its words."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.run"],
        cwd=ROOT,
        env=environ_of(**{"data_dir": tmp_path, "port": free_port(), **settings}),
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    return done.returncode, done.stderr


def test_it_says_where_it_is_and_invites_the_first_admin(stack):
    assert f"inglenook is at  {stack.address}\n" in stack.words
    assert stack.first_invitation.startswith(f"{stack.address}/invite/")
    with urllib.request.urlopen(stack.address + "/healthz", timeout=60) as answer:
        assert answer.status == 200


def test_redis_has_an_append_only_file_and_wants_a_password(stack):
    assert any((stack.data / "redis").rglob("*.aof"))
    config = stack.data / "run" / "redis.conf"
    assert config.stat().st_mode & 0o777 == 0o600
    port = int(re.search(r"^port (\d+)$", config.read_text(), re.MULTILINE)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as stranger:
        stranger.sendall(b"PING\r\n")
        assert stranger.recv(100).startswith(b"-NOAUTH")


def test_nobody_else_may_read_what_lies_in_the_data_folder(stack, player):
    player.submit("For Ada's eyes only.", player.open()["revision"])
    player.settle()
    everything = [stack.data, *stack.data.rglob("*")]
    files = [path for path in everything if stack.models not in path.parents]  # models are no secrets
    assert stack.data / "inglenook.db-wal" in files
    assert [path for path in files if path.lstat().st_mode & 0o077] == []


def test_a_second_stack_on_the_same_data_is_refused(stack):
    status, words = run_to_its_end(stack.data, backend="echo")
    assert status == 1
    assert words.startswith(f"inglenook: Already running on {stack.data} (process ")


def inglenook(stack, *arguments):
    """The command on this house; it is told the data folder only, and finds the rest."""
    command = [sys.executable, "-m", "deploy.cli", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=environ_of(data_dir=stack.data), capture_output=True, text=True, check=False
    )


def test_the_command_finds_the_running_house(stack, player, tmp_path):
    assert re.search(r"^worker gpu0 .*0 of 2 lanes busy", inglenook(stack, "stats").stdout, re.MULTILINE)
    checked = inglenook(stack, "doctor")
    assert checked.returncode == 0, checked.stdout
    assert re.search(r"^ok +redis +[\d.]+ at 127\.0\.0\.1:\d+ answers$", checked.stdout, re.MULTILINE)
    assert f"{stack.port}: the web server answers" in checked.stdout
    assert inglenook(stack, "invite").stdout.startswith(f"{stack.address}/invite/")
    assert inglenook(stack, "backup", tmp_path / "house.zip").returncode == 0
    refused = inglenook(stack, "restore", tmp_path / "house.zip", "--replace")
    assert refused.stderr.startswith(f"inglenook: Already running on {stack.data}")


def test_a_busy_port_is_one_sentence(stack, tmp_path):
    status, words = run_to_its_end(tmp_path, port=stack.port, backend="echo")
    assert (status, len(words.splitlines())) == (1, 1)
    assert words.startswith(f"inglenook: Port {stack.port} on 127.0.0.1 cannot be opened")


def test_a_missing_model_is_one_sentence(tmp_path):
    status, words = run_to_its_end(tmp_path, model=tmp_path / "nowhere.gguf")
    assert (status, len(words.splitlines())) == (1, 1)
    assert "There is no model file at" in words


def test_a_misspelt_setting_is_one_sentence(tmp_path):
    status, words = run_to_its_end(tmp_path, modle="x.gguf")
    assert (status, len(words.splitlines())) == (1, 1)
    assert "INGLENOOK_MODEL" in words


def test_a_data_folder_that_cannot_be_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    status, words = run_to_its_end(tmp_path / "file" / "data", backend="echo")
    assert (status, len(words.splitlines())) == (1, 1)
    assert "INGLENOOK_DATA_DIR" in words


def test_a_model_that_only_looks_right_is_refused_by_the_worker(tmp_path):
    """A good beginning and nothing behind it: the worker finds out, and nobody tries again for ever."""
    model = tmp_path / "torn.gguf"
    model.write_bytes(b"GGUF\x03\0\0\0" + b"\x01" + b"\0" * 7 + b"\0" * 500)
    status, words = run_to_its_end(tmp_path / "data", model=model)
    assert status == 1
    assert str(model) in words
    assert "Traceback" not in words
    assert processes.of(tmp_path / "data") == []


@pytest.mark.parametrize("victim", VICTIMS)
def test_kill_9_loses_nothing(stack, player, victim):
    """In mid-reply and right after the ack: each acknowledged message is there once, its turn has ended visibly."""
    said = [f"One before {victim} is killed.", "Killed in mid-reply.", "Killed right after the ack.", "And one after."]
    killed = []
    for number, text in enumerate(said):
        turn = player.submit(text, player.open()["revision"])
        if number == 1:
            player.wait("text")
        if number in (1, 2):
            killed.append(stack.kill(*VICTIMS[victim]))
        opened = player.settle()
        own = [message["alternatives"][0]["text"] for message in opened["messages"] if message["role"] == "user"]
        assert own == said[: number + 1]
        last = opened["messages"][-1]
        assert last["turn_id"] == turn
        assert last["role"] == "character" or opened["unanswered"]["error"]["message"]
    assert len(set(killed)) == 2
    assert set(killed).isdisjoint(stack.pids(*VICTIMS[victim]))


def test_the_supervisor_starts_a_worker_again_that_ends_for_another_model(stack, player):
    """In mid-reply: the turn goes on after it, and the choice stays over a kill."""
    stack.models.mkdir(exist_ok=True)
    tiny_models.llama(stack.models / "tiny.gguf")
    db = Database(f"sqlite:///{stack.data / 'inglenook.db'}")
    wait_for(lambda: reading.find_file(db, "tiny.gguf"))
    before = stack.pids(*VICTIMS["worker"])
    turn = player.submit("Goes on with another model.", player.open()["revision"])
    player.wait("text")
    choices.choose(db, "gpu0", "tiny.gguf")
    opened = player.settle()
    assert (opened["messages"][-1]["turn_id"], opened["messages"][-1]["role"]) == (turn, "character")
    with stack.redis() as redis:
        first = wait_for(lambda: _engine(redis, "tiny.gguf"))
        assert set(before).isdisjoint(stack.pids(*VICTIMS["worker"]))
        stack.kill(*VICTIMS["worker"])
        wait_for(lambda: _engine(redis, "tiny.gguf", not_since=first.since))
    wait_for(lambda: choices.choice_of(db, "gpu0").state == "serving")
    db.close()


def _engine(redis, model_file, not_since=0.0):
    """The engine that runs this model because it was chosen, once it has begun at another time."""
    worker = registry.alive(redis).get("gpu0")
    engine = worker.engine if worker else registry.NOTHING_KNOWN
    known = (engine.model_file, engine.model_why) == (model_file, "chosen")
    return engine if known and engine.since != not_since else None


def test_sending_again_after_a_kill_makes_one_turn(stack, player):
    """The browser does not know whether its message arrived: it sends it again under the same id."""
    revision = player.open()["revision"]
    turn = player.submit("Only once, please.", revision)
    stack.kill(*VICTIMS["web"])
    player.open()
    player.submit("Only once, please.", revision, turn)
    opened = player.settle()
    assert len([message for message in opened["messages"] if message["role"] == "user"]) == 1
    assert len([message for message in opened["messages"] if message["turn_id"] == turn]) == 2


def test_a_stop_leaves_no_process_and_a_start_finds_everything(tmp_path):
    """Ctrl+C while somebody is being written to; and a closed terminal."""
    first = Stack(tmp_path / "data", backend="echo", echo_delay_ms=50, max_reply_tokens=60).start()
    try:
        player = Player(first.address).sign_up(first.first_invitation, "Ada").begin()
        turn = player.submit("Tell me a long story.", player.open()["revision"])
        player.wait("text")
        assert len(processes.of(first.data)) >= 6
    finally:
        stop_and_look(first, signal.SIGINT)
        player.close()

    second = Stack(tmp_path / "data", backend="echo").start()
    try:
        assert "first admin" not in second.words
        player.move_to(second.address)
        opened = player.settle()
        assert [message["turn_id"] for message in opened["messages"]] == [None, turn, turn]
        player.close()
    finally:
        stop_and_look(second, signal.SIGHUP)


def stop_and_look(stack, number):
    status = stack.end(number)
    assert status == 0, stack.words
    assert stack.words.endswith("inglenook: stopped.\n")
    assert processes.of(stack.data) == []
