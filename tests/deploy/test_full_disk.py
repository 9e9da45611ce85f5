"""A disk that is full ends nothing: pages answer, sends are refused with the reason, and all goes on when there is
room."""

import os
import resource
import signal
import sqlite3
from contextlib import contextmanager, suppress

import pytest
from redis.exceptions import ResponseError
from sqlalchemy.exc import OperationalError
from supervisor import loggers

from deploy.supervisord import ExitMemory, FailingLog
from store.full_disk import is_full
from tests.harness.full_disk import SmallDisk
from tests.harness.people import Player
from tests.harness.stack import Stack
from tests.harness.waiting import wait_for

LONG = "There is much to tell, and no room for it. " * 200


@pytest.fixture
def disk(tmp_path):
    with SmallDisk(tmp_path / "disk") as small:
        yield small


def refusal(player):
    """What is answered when this person sends something."""
    revision = player.open()["revision"]
    player.send(type="submit", id="e" * 32, chat=player.chat, kind="chat", revision=revision, text=LONG)
    return player.wait("ack", "refused")


def test_a_full_disk_ends_nothing_and_everything_goes_on_afterwards(disk):
    """A web server that dies meanwhile comes back, too, although supervisord cannot write that into its log."""
    stack = Stack(disk.folder / "data", backend="echo", echo_delay_ms=1, max_reply_tokens=20).start()
    try:
        player = Player(stack.address).sign_up(stack.first_invitation, "Ada").begin()
        player.submit("Before.", player.open()["revision"])
        player.settle()
        disk.fill()
        refused = wait_for(lambda: (said := refusal(player))["type"] == "refused" and said)
        assert refused["error"]["code"] == "disk_full"
        assert "no room left on the server's disk" in refused["error"]["message"]
        if disk.is_mounted:  # else no process could write anywhere, and none could start
            dead = sorted(stack.pids("gunicorn"))
            for pid in dead:  # the master first, which would make new workers
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: (now := stack.pids("gunicorn")) and set(dead).isdisjoint(now))
            player.open()  # as soon as it answers
        assert player.browser.get(f"/chat/{player.chat}").status_code == 200
        assert player.browser.get("/").status_code == 200
        assert refusal(player)["error"]["code"] == "disk_full"
        disk.free()
        player.submit("Afterwards.", player.open()["revision"])
        roles = [message["role"] for message in player.settle()["messages"]]
        assert roles == ["character", "user", "character", "user", "character"]
        player.close()
    finally:
        assert stack.end(signal.SIGTERM) == 0, stack.words


@contextmanager
def no_room(n_bytes):
    """Inside, no file may grow beyond so many bytes in this process; pytest itself may write to one outside."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_lines_of_a_log_that_find_no_room_are_dropped(tmp_path):
    """Also when the log is to be rotated: it is closed then, and what it still had to write fails."""
    log = FailingLog(str(tmp_path / "x.log"), "a", maxBytes=150, backupCount=1)
    logger = loggers.Logger(handlers=[log])
    with no_room(100):
        for number in range(50):
            logger.info(f"line {number} of a program\n".encode())
        with suppress(OSError):
            log.close()
    assert (tmp_path / "x.log").stat().st_size <= 100
    assert "line 0 of" in (tmp_path / "x.log").read_text()


def test_a_log_goes_on_when_there_is_room_again(tmp_path):
    log = FailingLog(str(tmp_path / "x.log"), "a", maxBytes=10_000, backupCount=1)
    logger = loggers.Logger(handlers=[log])
    with no_room(0):
        logger.info("lost or late\n")
    logger.info("there\n")
    log.close()
    assert (tmp_path / "x.log").read_text().endswith("there\n")


def test_exits_are_remembered_without_a_disk():
    memory = ExitMemory()
    loggers.Logger(handlers=[memory]).info("exited: worker (exit status 78; not expected)")
    loggers.Logger(handlers=[memory]).info("spawned: 'worker' with pid 7")
    assert list(memory.exits) == [("worker", 78)]


def sqlite_error(name):
    error = sqlite3.OperationalError("some words")
    error.sqlite_errorname = name
    return OperationalError("INSERT", {}, error)


def test_which_errors_mean_that_there_is_no_room():
    assert is_full(sqlite_error("SQLITE_FULL"))
    assert is_full(sqlite_error("SQLITE_IOERR_WRITE"))
    assert not is_full(sqlite_error("SQLITE_BUSY"))
    assert is_full(ResponseError("MISCONF Errors writing to the AOF file: No space left on device"))
    assert not is_full(ResponseError("WRONGTYPE"))
