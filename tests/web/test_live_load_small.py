"""`make load` in small, on the real server: rude clients, half requests, restarts. Nobody else notices anything."""

import contextlib
import os
import re
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from malformed_requests import requests_of
from rude_frames import RUDE, be_rude
from test_live_gate import Deaf
from test_serving import own_redis, wait_for

from store import accounts
from store.bundled import character_id
from tests.harness.people import Browser
from tests.harness.processes import free_port
from tests.harness.socket_client import handshake
from web.live.liveness import LOST_S, PING_EVERY_S, Liveness
from web.server import gunicorn_conf

__all__ = ["own_redis"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def served(tmp_path_factory, migrated_file, redis_server):
    """The real server for all tests of this file: its address, the file of its log, and a database."""
    folder = tmp_path_factory.mktemp("load")
    (folder / "inglenook.db").write_bytes(migrated_file.read_bytes())
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "INGLENOOK_DATA_DIR": str(folder),
        "INGLENOOK_REDIS_URL": redis_server.url,
        "INGLENOOK_PORT": str(port),
        "INGLENOOK_SOCKETS": "8",
        "INGLENOOK_WEB_THREADS": "9",
    }
    log = folder / "web.log"
    with (
        log.open("wb") as out,
        subprocess.Popen([sys.executable, "-m", "web"], cwd=ROOT, env=environment, stdout=out, stderr=out) as process,
    ):
        process.address, process.port, process.log = f"http://127.0.0.1:{port}", port, log
        process.database_url = f"sqlite:///{folder}/inglenook.db"
        wait_for(process)
        yield process
        process.terminate()


@pytest.fixture(scope="module")
def ada(served):
    from store.db import Database

    database = Database(served.database_url)
    _, token = accounts.create_invite(database, "adult")
    database.close()
    return Browser(served.address).sign_up(f"/invite/{token}", "Ada")


@pytest.fixture
def calm(served, ada):
    """A polite tab beside it all; at the end it is still served, and the log tells of no crash."""
    tab = ada.socket()
    tab.open(ada.begin_chat(character_id("mara")))
    yield tab
    tab.send(type="ping")
    assert tab.wait("pong")
    tab.close()
    log = served.log.read_text()
    assert "Traceback" not in log, log


@pytest.mark.parametrize("what", RUDE)
def test_rude_clients_are_shown_out_with_the_right_code(served, ada, calm, what):
    data, codes = RUDE[what]
    assert be_rude(served.port, ada.cookie, data) in codes


def test_who_never_listens_is_dropped(served, ada, calm):
    deaf = Deaf(ada)
    deaf.open(ada.begin_chat(character_id("mara")))
    while ada.get("/healthz").json()["sockets"] < 2:
        pass
    deadline = time.monotonic() + 40
    while ada.get("/healthz").json()["sockets"] == 2:
        assert time.monotonic() < deadline
        calm.send(type="ping")
        assert calm.wait("pong")
        time.sleep(0.5)  # far below the limit of messages per second
    deaf.sock.close()


def test_a_ping_goes_out_only_with_what_is_sent():
    peer = Liveness()
    assert peer.should_ping(0.0)
    assert not peer.should_ping(1.0), "one ping at a time"
    assert not peer.is_dead(LOST_S)
    assert peer.is_dead(LOST_S + 0.1)
    peer.pong(9.0)
    assert not peer.is_dead(1000.0), "who is told nothing is asked nothing"
    assert not peer.should_ping(9.0 + PING_EVERY_S / 2)
    assert peer.should_ping(9.0 + PING_EVERY_S)


def test_half_requests_take_nobodys_thread(served, ada, calm):
    """Far more of them than there are threads: silent ones, half headers, half handshakes."""
    begun = [b"", b"G", b"GET / HTTP/1.1\r\nHost: x", handshake(served.address, ada.cookie)[:-2]]
    lines = [socket.create_connection(("127.0.0.1", served.port), timeout=30) for _ in range(120)]
    for number, line in enumerate(lines):
        line.sendall(begun[number % len(begun)])
    assert ada.get("/login").status_code == 200
    late = lines[-2]
    late.sendall(b"\r\n\r\n")
    assert late.recv(64).startswith(b"HTTP/1.1 "), "who is only slow is served"
    for line in lines[: len(begun)]:
        assert line.recv(64) == b"", "the others are cut off"
    for line in lines:
        line.close()


def begin(port: int, data: bytes) -> socket.socket:
    """Connect, and send the beginning of a request."""
    line = socket.create_connection(("127.0.0.1", port), timeout=30)
    line.sendall(data)
    return line


SLOW = {  # the head of a request whose body never comes, and what its sender is told at once, if anything
    "a form of a stranger": (b"POST /login HTTP/1.1\r\nContent-Length: 100000", None),
    "an address that does not exist": (b"POST /nothing HTTP/1.1\r\nContent-Length: 100000", None),
    "chunks": (b"POST /login HTTP/1.1\r\nTransfer-Encoding: chunked", b"411"),
    "a file of a stranger": (b"POST /characters/bring HTTP/1.1\r\nContent-Length: 10000000", b"413"),
    "a large body for nobody": (b"PUT /nothing HTTP/1.1\r\nContent-Length: 99999999999", b"413"),
}


@pytest.mark.parametrize("what", SLOW)
def test_slow_bodies_take_nobodys_thread(served, ada, calm, what):
    """Three times as many of them as there are threads."""
    head, refused = SLOW[what]
    asked = head + f"\r\nHost: 127.0.0.1:{served.port}\r\n\r\nx".encode()
    lines = [begin(served.port, asked) for _ in range(120)]
    assert ada.get("/login").status_code == 200
    assert lines[0].recv(64).split()[1] == (refused or b"408"), "the one that has waited longest makes room"
    for line in lines:
        line.close()


def test_uploads_of_people_are_counted(served, ada, calm):
    """A file that comes slowly holds a thread: two of a person, no more."""
    head = f"POST /characters/bring HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nCookie: {ada.cookie}\r\n"
    asked = f"{head}Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000000\r\n\r\n--x".encode()
    lines = [begin(served.port, asked) for _ in range(60)]
    assert ada.get("/login").status_code == 200
    select = selectors.DefaultSelector()
    for line in lines:
        select.register(line, selectors.EVENT_READ)
    answers: list[bytes] = []
    while len(answers) < 58:
        for key, _ in select.select(30):
            select.unregister(key.fileobj)
            answers.append(key.fileobj.recv(64).split()[1])
    assert answers == [b"503"] * 58
    for line in lines:
        line.close()


def test_no_request_is_answered_with_a_fault_of_ours(served, ada, calm):
    ours, asked = [], requests_of(served.port, ada.cookie)
    for one in asked:
        with begin(served.port, one) as line:
            answer = line.recv(64)
        if not answer.startswith(b"HTTP/1.") or (answer[9:10] == b"5" and answer[9:12] != b"501"):
            ours.append((answer[:30], one[:40] + one[-120:]))
    assert len(asked) > 700
    assert ours == []


def test_who_asks_on_and_on_and_never_reads_is_shown_out(served, ada, calm):
    """A thread would wait for room on the line; asking again without having read the last answers ends it before."""
    style = re.search(r'"([^"]*css/base.css)"', ada.get("/login").text)[1]
    asked = f"GET {style} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode() * 800
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(30)
        line.connect(("127.0.0.1", served.port))
        line.sendall(asked)
        for _ in range(100):
            assert ada.get("/healthz").status_code == 200
        answers = bytearray()
        with contextlib.suppress(ConnectionResetError):
            while data := line.recv(1 << 16):
                answers += data
    assert 0 < answers.count(b"HTTP/1.1 200 OK") < 200


def test_who_was_answered_and_does_not_hang_up_holds_nobody_up(served, ada, calm):
    asked = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    lines = [socket.create_connection(("127.0.0.1", served.port), timeout=30) for _ in range(12)]
    for line in lines:
        line.sendall(asked)
    assert lines[0].recv(64).startswith(b"HTTP/1.1 200 ")
    assert ada.get("/login").status_code == 200, "gunicorn alone waits two seconds for each of them"
    for line in lines:
        line.close()


def test_pages_have_threads_that_web_sockets_cannot_take():
    assert gunicorn_conf.threads >= 64 + gunicorn_conf.PAGE_THREADS
