"""Who may open a socket, how fast it may talk, and that a slow or rude one disturbs nobody."""

import contextlib
import json
import socket
from urllib.parse import urlsplit

import pytest
from scripted_worker import new_turn

from web.live.socket_guard import USER_TIMEOUT_MS, set_user_timeout

JUNK = [
    b"\xff\xff\xff\xff\xff",
    b"\x81\x05hello",  # not masked
    b"\xc1\x85\x00\x00\x00\x00hello",  # compressed, which was not agreed on
    b"\x83\x80\x00\x00\x00\x00",  # no such opcode
]
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def knock(browser, **headers):
    """The HTTP answer to a handshake that is refused."""
    wanted = {"Origin": browser.address, **HANDSHAKE, **{name.replace("_", "-"): one for name, one in headers.items()}}
    return browser.get("/ws", headers={name: value for name, value in wanted.items() if value is not None})


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://127.0.0.1", "http://localhost.evil"])
def test_other_origins_are_refused_before_the_handshake(site, ada, origin):
    answer = knock(ada, Origin=origin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "foreign_origin")


def test_strangers_are_refused(site):
    assert knock(site.browser()).status_code == 401


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"Upgrade": "h2c"}, 426),
        ({"Connection": "keep-alive"}, 426),
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Sec-WebSocket-Key": None}, 400),
    ],
)
def test_broken_handshakes(site, ada, change, status):
    answer = knock(ada, **change)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message"}


def test_a_plain_visit_is_told_to_upgrade(site, ada):
    assert ada.get("/ws").status_code == 426


def test_accepted_sockets_drop_peers_that_take_nothing():
    left, right = socket.socket(), socket.create_server(("127.0.0.1", 0))
    set_user_timeout(right)
    left.connect(right.getsockname())
    accepted, _ = right.accept()
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == USER_TIMEOUT_MS == 10_000
    for one in (left, right, accepted):
        one.close()


def test_no_compression(site, ada):
    tab = ada.socket(Sec_WebSocket_Extensions="permessage-deflate")
    assert tab.open(ada.begin_chat(site.mara))["type"] == "opened"


def test_there_are_only_so_many_seats(make_site, redis):
    site = make_site(sockets=2)
    ada = site.browser().sign_up(site.invite(), "Ada")
    tabs = [ada.socket(), ada.socket()]
    assert knock(ada).status_code == 503
    tabs[0].close()
    while site.services.socket_limiter.n_open == 2:
        ada.get("/healthz")
    assert ada.socket().open(ada.begin_chat(site.mara))["type"] == "opened"


def test_a_message_that_is_too_big_ends_the_line(site, ada):
    tab = ada.socket()
    chat = ada.begin_chat(site.mara)
    assert tab.submit(chat, "x" * 60_000, 1)["error"]["code"] == "too_long"
    tab.send_text(json.dumps({"type": "submit", "text": "x" * 1_000_000}))
    assert tab.wait_for_close().code == 1009


def test_a_flood_ends_the_line(site, ada, bo):
    calm = bo.socket()
    tab = ada.socket()
    with contextlib.suppress(OSError):
        for _ in range(5000):
            tab.send(type="ping")
    assert tab.wait_for_close().code == 1008
    calm.send(type="ping")
    assert calm.wait("pong")


def test_frames_that_break_the_protocol_end_the_line_only(site, ada, bo):
    calm = bo.socket()
    for junk in JUNK:
        tab = ada.socket()
        tab.send_raw(junk)
        assert tab.wait_for_close().code in (1002, 1005, 1006)
    calm.send(type="ping")
    assert calm.wait("pong")


def test_one_that_never_reads_is_dropped_and_nobody_waits_for_it(site, ada, tale):
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    revision = tab.open(chat)["revision"]
    others = site.services.hub.tabs()
    deaf = Deaf(ada)
    deaf.open(chat)
    turn = new_turn()
    tab.submit(chat, "Go on", revision, turn)
    tale.claim(turn)
    for _ in range(60):
        tale.tell("words " * 8000)
    tale.finish()
    assert tab.wait("done")
    (session,) = set(site.services.hub.tabs()) - set(others)
    while session in site.services.hub.tabs():  # until its mailbox is full
        session.deliver({"type": "service_status", "trouble": ""})
    assert site.services.hub.tabs() == others
    tab.send(type="ping")
    assert tab.wait("pong")
    deaf.sock.close()


class Deaf:
    """A raw web socket whose receive window stays shut."""

    def __init__(self, browser):
        where = urlsplit(browser.address)
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.connect((where.hostname, where.port))
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.http.cookies)
        headers = {"Host": where.netloc, "Origin": browser.address, "Cookie": cookies, **HANDSHAKE}
        lines = ["GET /ws HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.sock.sendall("\r\n".join(lines).encode())
        assert b"101" in self.sock.recv(1024)

    def open(self, chat):
        frame = json.dumps({"type": "open", "chat": chat}).encode()
        assert len(frame) < 126
        self.sock.sendall(bytes([0x81, 0x80 | len(frame), 0, 0, 0, 0]) + frame)
