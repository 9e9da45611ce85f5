"""The downloader as a process: one file and the end, the lock, a stop in the middle, settings that are wrong."""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from test_downloader import NAME, PATH, REPO, SOURCE, gguf

from store.broker import registry
from store.broker.registry import EngineView, WorkerView
from store.settings import Settings
from store.shelf import asking
from store.shelf.beat import read_beat
from store.shelf.reading import get_file
from tests.harness.hub import Hub
from tests.harness.processes import environ_of
from tests.harness.waiting import wait_for
from web.downloader.__main__ import EXIT_BUSY, EXIT_CONFIG, Stop, beat_of, models_in_use, token_of, work
from web.downloader.http import Token
from web.downloader.service import Locked, lock_of

FILE = gguf(4_000_000)  # the first look takes 2 MiB of it


@pytest.fixture
def hub():
    with Hub() as hub:
        hub.add(REPO, PATH, FILE)
        yield hub


@pytest.fixture
def start(database_url, tmp_path, hub):
    """Starts `python -m web.downloader` with some arguments."""

    def start(*arguments, **settings):
        settings = {"data_dir": tmp_path / "data", "database_url": database_url, "hub_sources": hub.url, **settings}
        command = [sys.executable, "-m", "web.downloader", *arguments]
        return subprocess.Popen(command, env=environ_of(**settings), stderr=subprocess.PIPE, text=True)

    return start


def test_with_an_id_it_fetches_that_file_and_ends(database, tmp_path, start):
    file = asking.ask_to_get(database, SOURCE)
    with lock_of(tmp_path / "models"), start(file.id) as busy:
        assert busy.wait(60) == EXIT_BUSY
    with start(file.id) as process:
        assert process.wait(60) == 0
    assert get_file(database, file.id).state == "installed"
    assert (tmp_path / "models" / NAME).read_bytes() == FILE
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "models").iterdir()}
    assert modes == {NAME: 0o644, ".downloader.lock": 0o644}, "a worker of another user reads them"
    assert read_beat(tmp_path / "data").free > 0


def test_without_an_id_it_works_until_it_is_stopped_and_keeps_what_is_here(database, tmp_path, start, hub):
    hub.faults.slow_s = 0.05
    file = asking.ask_to_get(database, SOURCE)
    with start() as process:
        wait_for(lambda: get_file(database, file.id).state == "fetching", "the download")
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert (tmp_path / "data" / "downloader.beat").exists()
    assert get_file(database, file.id).state == "waiting"
    hub.faults.slow_s = 0.0
    with start() as process:
        wait_for(lambda: get_file(database, file.id).state == "installed", "the rest")
        process.kill()
    assert (tmp_path / "models" / NAME).read_bytes() == FILE
    assert hub.sent_twice(PATH) <= 1 << 19


def test_a_stop_that_is_lost_in_a_finalizer_is_seen_at_the_next_beat():
    stop = Stop()
    beat = beat_of(lambda: None, stop)
    beat()
    with suppress(SystemExit):  # as Python does where a finalizer runs
        stop(signal.SIGTERM, None)
    with pytest.raises(SystemExit):
        beat()


def test_a_models_folder_that_cannot_be_written_is_told_to_who_asks(database, tmp_path, start):
    (tmp_path / "models").write_text("a file where the folder should be")
    file = asking.ask_to_get(database, SOURCE)
    with start(file.id) as process:
        assert process.wait(60) == 1
    assert get_file(database, file.id).failure.reason == "fetch.folder"


def test_a_models_folder_gets_a_second_try_before_what_is_wanted_fails(database, tmp_path):
    """In containers it is handed over while the downloader starts."""
    folder, stop, told = tmp_path / "models", Stop(), []
    folder.write_text("a file where the folder should be")
    file = asking.ask_to_get(database, SOURCE)

    def sleep(_seconds):
        told.append(get_file(database, file.id).failure)
        stop.is_asked = len(told) == 2

    settings = Settings(data_dir=tmp_path, models_dir=folder)
    with pytest.raises(SystemExit):
        work(database, settings, [], "", stop, sleep)
    assert told[0] is None
    assert told[1].reason == "fetch.folder"


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")
def test_a_lock_that_another_user_has_made_is_held_all_the_same():
    with tempfile.TemporaryDirectory() as name:  # tmp_path lies where only root may enter
        folder = Path(name)
        folder.chmod(0o777)
        before = os.umask(0o077)
        with lock_of(folder):
            os.umask(before)
        os.seteuid(10001)
        try:
            with lock_of(folder), pytest.raises(Locked), lock_of(folder):
                pass
        finally:
            os.seteuid(0)


def test_what_workers_run_is_in_their_heartbeats(redis, redis_server):
    assert models_in_use(Settings(redis_url="redis://127.0.0.1:1/0")) == frozenset()
    view = WorkerView("gpu0", "m", 2, 0, (), 1.0, engine=EngineView(model_file=NAME))
    registry.announce(redis, view)
    assert models_in_use(Settings(redis_url=redis_server.url)) == {NAME}


def test_a_hub_that_is_no_address_is_one_sentence(start):
    with start(hub_sources="hub.example") as process:
        assert process.wait(60) == EXIT_CONFIG
        assert process.stderr.read() == (
            "inglenook: hub.example is no address of a hub: expected one such as https://huggingface.co.\n"
        )


def test_the_token_is_for_the_first_hub_and_huggingface_and_goes_nowhere_in_the_open():
    token = token_of(Settings(hub_token="hf_a_secret", hub_sources="http://nas.example,https://mirror.example"))
    shown = {"Authorization": "Bearer hf_a_secret"}
    assert token.headers("https://huggingface.co/a/b/resolve/main/x.gguf") == shown
    for other in (
        "https://mirror.example/x",
        "http://huggingface.co/x",
        "http://nas.example/x",
        "https://nas.example/x",
    ):
        assert token.headers(other) == {}
    assert token.headers("https://huggingface.co.evil.example/x") == {}
    assert token.headers("https://huggingface.co:8443/x") == {}
    assert Token("", frozenset(("https://huggingface.co:443",))).headers("https://huggingface.co/x") == {}
