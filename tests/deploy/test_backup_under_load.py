"""Backups of a running house while people chat over web sockets; each comes back elsewhere, with all that was said.

`pytest --postgres` does it with a PostgreSQL on both sides.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from talker import Talker

from deploy.cli.main import cli
from store import accounts
from store.chats import transcript
from store.db import Database
from tests.harness.people import Player
from tests.harness.soak import n_examples
from tests.harness.stack import ROOT, Stack

N_PEOPLE, N_BACKUPS, N_BETWEEN = n_examples(2, 4), n_examples(2, 3), n_examples(3, 6)
WARM_S = 60


def database_of(postgres):
    """The settings of a house on a database of its own: a SQLite file in its data folder, or a PostgreSQL's."""
    return {} if postgres is None else {"database_url": postgres.new_url()}


@contextmanager
def opened(stack):
    """The database of a house, running or not."""
    db = Database(stack.environ.get("INGLENOOK_DATABASE_URL") or f"sqlite:///{stack.data / 'inglenook.db'}")
    yield db
    db.close()


@pytest.fixture
def stack(tmp_path, postgres):
    calm = {"backend": "echo", "echo_delay_ms": 15, "max_reply_tokens": 20, "lanes": N_PEOPLE}
    stack = Stack(tmp_path / "house", **calm, **database_of(postgres))
    try:
        yield stack.start()
    finally:
        stack.end(signal.SIGTERM)


@pytest.fixture
def talkers(stack):
    """People who have signed up and begun a chat each, and talk."""
    with opened(stack) as db:
        tokens = [accounts.create_invite(db, "adult")[1] for _ in range(N_PEOPLE)]
    links = [f"{stack.address}/invite/{token}" for token in tokens]
    found = [Talker(Player(stack.address).sign_up(link, f"Ann {n}").begin()) for n, link in enumerate(links)]
    for talker in found:
        talker.start()
    yield found
    for talker in found:
        talker.leave()


def backup(stack, file):
    """The command, in a process of its own."""
    argv = [sys.executable, "-m", "deploy.cli", "backup", str(file)]
    done = subprocess.run(argv, cwd=ROOT, env=stack.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def restore(stack, file):
    """The command, in this process, because it starts faster."""
    nothing = {name: None for name in os.environ if name.startswith("INGLENOOK_")}
    done = CliRunner().invoke(cli, ["restore", str(file)], env={**nothing, **stack.environ})
    assert done.exit_code == 0, done.output


def wait_for_more(talkers, n_more):
    """Until each of them has got this many more answers."""
    wanted = [len(talker.acked) + n_more for talker in talkers]
    deadline = time.monotonic() + WARM_S
    while not all(talker.has(number) for talker, number in zip(talkers, wanted, strict=True)):
        assert time.monotonic() < deadline, [len(talker.acked) for talker in talkers]
        time.sleep(0.02)


def backups_of(stack, talkers, folder):
    """[(file, what each had been told before it was begun)], made while they go on."""
    made = []
    for number in range(N_BACKUPS):
        wait_for_more(talkers, N_BETWEEN)
        told = [list(talker.acked) for talker in talkers]
        backup(stack, file := folder / f"{number}.zip")
        made.append((file, told))
        assert sum(len(talker.acked) for talker in talkers) > sum(map(len, told)), "nobody wrote meanwhile"
    return made


def missing_in(stack, talkers, told):
    """What was acknowledged and is not in the house of these settings."""
    with opened(stack) as db:
        for talker, before in zip(talkers, told, strict=True):
            there = {(one.turn_id, one.role, one.text) for one in transcript(db, talker.player.chat)}
            yield from (ack for ack in before if ack not in there)


@pytest.mark.timeout(300)
def test_no_backup_misses_what_was_acknowledged_before_it(stack, talkers, tmp_path, postgres):
    made = backups_of(stack, talkers, tmp_path)
    for talker in talkers:
        talker.leave()
    elsewhere = []
    for file, told in made:
        stack = Stack(tmp_path / f"from-{file.stem}", backend="echo", **database_of(postgres))
        restore(stack, file)
        assert list(missing_in(stack, talkers, told)) == []
        elsewhere.append(stack)
    assert sum(map(len, made[-1][1])) >= N_PEOPLE * N_BACKUPS * N_BETWEEN
    come_back(elsewhere[-1], talkers[0], made[-1][1][0])


def come_back(stack, talker, told):
    """The restored house is started; somebody's window, still signed in, shows the story, and it goes on."""
    try:
        stack.start()
        talker.player.move_to(stack.address)
        shown = talker.player.settle()
        assert {turn for turn, _, _ in told[-10:]} <= {message["turn_id"] for message in shown["messages"]}
        talker.player.submit("And then?", shown["revision"])
        assert talker.player.wait("done")["message"]["role"] == "character"
        talker.player.close()
    finally:
        stack.end(signal.SIGTERM)
