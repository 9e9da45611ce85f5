"""The real server, `python -m web`: it stops within three seconds with open sockets, and goes on without Redis."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from scripted_worker import ScriptedWorker, new_turn

from store import accounts, chats, turns
from store.broker import client
from store.bundled import character_id
from tests.harness.people import Browser
from tests.harness.processes import free_port
from web.i18n.language import gettext_in
from web.server.request_intake import SENTENCES, Verdict
from web.server.turnstile import WAITING_EACH

ROOT = Path(__file__).parents[2]


@pytest.fixture
def own_redis(redis_server):
    """A Redis that this test may kill."""
    with tempfile.TemporaryDirectory(prefix="inglenook-redis-") as folder:
        server = type(redis_server)(Path(folder))
        server.start()
        yield server
        server.kill()


@pytest.fixture
def more_settings():
    """For the server, beside what it needs."""
    return {}


@pytest.fixture
def server(tmp_path, database_url, own_redis, more_settings):
    """Gunicorn with our configuration."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "INGLENOOK_DATA_DIR": str(tmp_path),
        "INGLENOOK_DATABASE_URL": database_url,
        "INGLENOOK_REDIS_URL": own_redis.url,
        "INGLENOOK_PORT": str(port),
        **more_settings,
    }
    with subprocess.Popen([sys.executable, "-m", "web"], cwd=ROOT, env=environment) as process:
        process.address = f"http://127.0.0.1:{port}"
        wait_for(process)
        yield process
        process.kill()


def wait_for(process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if requests.get(process.address + "/healthz", timeout=30).json()["live"]:  # it listens before it can answer
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("the server did not start")


@pytest.fixture
def ada(server, database):
    _, token = accounts.create_invite(database, "adult")
    return Browser(server.address).sign_up(f"/invite/{token}", "Ada")


def test_what_becomes_gunicorn_at_once_loads_nothing_before():
    look = "import sys, web.__main__; sys.exit('flask' in sys.modules or 'sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], cwd=ROOT, check=False).returncode == 0


def test_it_stops_politely(server, ada):
    tabs = [ada.socket() for _ in range(5)]
    for tab in tabs:
        tab.send(type="ping")
        tab.wait("pong")
    server.terminate()
    assert [tab.wait_for_close().code for tab in tabs] == [1012] * 5
    assert server.wait(60) == 0


def test_killed_outright_it_leaves_nothing_behind(server, ada):
    tab = ada.socket()
    tab.send(type="ping")
    tab.wait("pong")
    server.kill()
    assert tab.wait_for_close().code == 1012
    with pytest.raises(requests.ConnectionError):
        requests.get(server.address + "/healthz", timeout=30)


def test_without_redis_nothing_is_lost(server, ada, database, own_redis):
    chat = ada.begin_chat(character_id("mara"))
    tab = ada.socket()
    revision = tab.open(chat)["revision"]
    own_redis.kill()
    turn = new_turn()
    assert tab.submit(chat, "Is anybody there?", revision, turn)["type"] == "ack"
    assert tab.wait("service_status", where=lambda m: m["trouble"] == "redis")
    page = ada.get("/")
    assert page.status_code == 200
    assert 'data-outage="redis"' in page.text
    assert "Is anybody there?" in ada.get(f"/chat/{chat}").text
    greeting = chats.transcript(database, chat)[0].id
    assert ada.get(f"/chat/{chat}/price?message={greeting}").json()["edit"]["messages"] == 2
    own_redis.start()
    with client.connect(own_redis.url) as redis:
        tale = ScriptedWorker(database, redis)
        tale.present()
        assert tab.wait("service_status", where=lambda m: not m["trouble"])
        while turns.get_turn(database, turn).state != "queued":
            tab.send(type="ping")
            tab.wait("pong")
            time.sleep(0.1)  # far below the limit of messages per second
        tale.claim(turn)
        tale.tell("I was only asleep.")
        tale.finish()
        assert tab.wait("done")["message"]["alternatives"][0]["text"] == "I was only asleep."


@pytest.mark.parametrize("more_settings", [{"INGLENOOK_PACE_PERCENT": "1", "INGLENOOK_PACE_BURST_S": "0.3"}])
def test_who_asks_without_end_is_told_to_wait_and_nobody_else(server, ada, database):
    _, token = accounts.create_invite(database, "adult")
    bo = Browser(server.address).sign_up(f"/invite/{token}", "Bo")
    host = urlsplit(server.address).netloc
    head = f"GET / HTTP/1.1\r\nHost: {host}\r\nCookie: {ada.cookie}\r\nAccept-Language: zh-CN,zh;q=0.9\r\n\r\n"
    lines = []
    for _ in range(WAITING_EACH + 100):
        lines.append(socket.create_connection(host.split(":"), timeout=30))
        lines[-1].sendall(head.encode())
    answer = b""
    while piece := lines[-1].recv(4096):
        answer += piece
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nRetry-After: 10\r\n" in answer
    assert gettext_in(SENTENCES[Verdict.TOO_MANY][1], "zh") in answer.decode()
    assert bo.get("/").status_code == 200
    assert requests.get(server.address + "/healthz", timeout=30).status_code == 200
    assert lines[0].recv(12) == b"HTTP/1.1 200"
    for line in lines:
        line.close()
