"""`python -m tests.attack.attackers NAME ADDRESS`: one attack, until standard input ends.

What it does: ATTACKS has one function per attack; each gets a `Mallory` (address, a cookie, a character, chats) and
runs until killed. What needs no account uses none. The person comes as JSON in the first line of standard input.
What it refuses to know: what others feel of it (neighbour.py).
To add an attack: a function here, a line in ATTACKS.
"""

import contextlib
import io
import json
import os
import socket
import sys
import threading
import time
import zipfile
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests

from tests.harness.people import Browser
from tests.harness.socket_client import SocketClient, frame, handshake

N_LINES = 100
N_MESSAGES, N_ALTERNATIVES = 49_000, 4


@dataclass
class Mallory:
    """Who attacks: an adult with an account, two chats and a character."""

    address: str
    cookie: str
    character: str
    chats: list[str]

    @property
    def browser(self):
        browser = Browser(self.address)
        name, _, value = self.cookie.partition("=")
        browser.http.cookies.set(name, value, domain=urlsplit(self.address).hostname, path="/")
        return browser

    def line(self):
        parts = urlsplit(self.address)
        return socket.create_connection((parts.hostname, parts.port), timeout=30)

    def tab(self):
        return SocketClient(self.address, self.cookie)

    def upload(self, page, action, field, name, content, **form):
        browser = self.browser
        token = browser.get(page).text.split('name="csrf_token"', 1)[1].split('value="', 1)[1].split('"', 1)[0]
        files = {field: (name, content)}
        data = {"csrf_token": token, **form}
        return browser.http.post(self.address + action, data=data, files=files, timeout=120)


def at_once(n, work):
    """`work(number)` for ever in n threads; what is refused or cut off is tried again."""

    def run(number):
        while True:
            with contextlib.suppress(OSError, TimeoutError, requests.RequestException, KeyError):
                work(number)
            time.sleep(0.02)

    for number in range(n):
        threading.Thread(target=run, args=(number,), daemon=True).start()


def trickle(mallory, head, n=N_LINES):
    """Connections that send a head at once and then a byte a second."""

    def work(number):
        with mallory.line() as line:
            line.sendall(head[number % len(head)])
            while True:
                line.sendall(b"1\r\n" if b"chunked" in head[number % len(head)] else b"a")
                time.sleep(1)

    at_once(n, work)


def slow_bodies(mallory):
    """100 whole heads with a body of 100,000 bytes, a byte a second: a form, no such page, chunked."""
    post = "POST {} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n{}\r\n\r\n"
    heads = [post.format(path, "Content-Length: 100000").encode() for path in ("/login", "/no/such/page", "/chats")]
    trickle(mallory, [*heads, post.format("/login", "Transfer-Encoding: chunked").encode()])


def slow_headers(mallory):
    """100 connections that never finish their head."""
    trickle(mallory, [b"GET / HTTP/1.1\r\nHost: x\r\nX: "])


def silent_connections(mallory):
    """600 connections that say nothing."""

    def work(_number):
        with mallory.line() as line:
            line.recv(1)

    at_once(600, work)


def guessed_passwords(mallory):
    """A stranger guesses passwords in 16 threads."""

    def work(number):
        browser = Browser(mallory.address)
        while True:
            browser.submit("/login", {"name": f"P{number % 4:02d}", "password": "guess" + "x" * number})

    at_once(16, work)


def dice(mallory):
    """Ten sockets send texts of 20,000 letters that roll as many dice as there is room for."""
    text = "{{roll:" + "+".join(["999d6"] * 3_300) + "}}"

    def work(number):
        with mallory.tab() as tab:
            chat = mallory.chats[number % len(mallory.chats)]
            revision = tab.open(chat)["revision"]
            while True:
                answer = tab.submit(chat, text, revision)
                tab.send(type="setup", chat=chat, author_note=text)
                if answer["type"] == "ack":
                    revision = answer["revision"]
                    tab.send(type="stop", turn=answer["id"])
                time.sleep(0.05)

    at_once(10, work)


def big_stories(mallory):
    """A story of 49,000 messages with four alternatives each is imported, then branched again and again."""
    lines = [{"user_name": "Mallory", "character_name": "Mo", "chat_metadata": {}}]
    for number in range(N_MESSAGES):
        is_user = number % 2 == 0
        alternatives = [f"{number}.{place}" for place in range(N_ALTERNATIVES)]
        lines.append({"name": "Mallory" if is_user else "Mo", "is_user": is_user, "mes": alternatives[0]})
        if not is_user:
            lines[-1] |= {"swipes": alternatives, "swipe_id": 0}
    content = "\n".join(map(json.dumps, lines)).encode()

    def work(_number):
        page = "/chats/bring"
        answer = mallory.upload(page, page, "chats", "big.jsonl", content, character=mallory.character)
        assert answer.ok, answer.status_code
        chat = answer.url.split("/chat/", 1)[1].split("/", 1)[0]
        with mallory.tab() as tab:
            last = tab.open(chat)["messages"][-1]["id"]
            while True:
                tab.send(type="branch", message=last)
                tab.wait("branched", "refused", timeout_s=120)

    at_once(2, work)


def native_files(mallory):
    """Native chat files as large as they may be: one that is taken, one that is refused for its last message."""
    alternatives = [{"text": f"{place} " + "w" * 60, "created_at": 1.0} for place in range(N_ALTERNATIVES)]
    message = {"role": "user", "name": "Mallory", "created_at": 1.0, "wordings": alternatives}
    head = {"format": "inglenook chat", "version": 1, "title": "t", "character_name": "Mo", "user_name": "Mallory"}
    whole = {**head, "created_at": 1.0, "messages": [message] * N_MESSAGES}
    broken = {**whole, "messages": [*whole["messages"], {**message, "active": 9}]}
    contents = [json.dumps(file).encode() for file in (whole, broken)]

    def work(number):
        page = "/chats/bring"
        mallory.upload(page, page, "chats", "big.json", contents[number % 2], character=mallory.character)

    at_once(4, work)


def deep_lore(mallory):
    """A lorebook of 4,000 entries, each with another scan depth, in a chat that is written to."""
    entries = [
        {"key": [f"word{n}"], "content": "x", "scanDepth": n + 1, "scan_depth": n + 1, "uid": n} for n in range(4000)
    ]
    book = json.dumps({"name": "deep", "entries": {str(n): entry for n, entry in enumerate(entries)}}).encode()
    answer = mallory.upload("/books", "/books", "file", "deep.json", book)
    assert answer.ok, answer.status_code
    book_id = answer.url.rsplit("/", 1)[1]

    def work(number):
        chat = mallory.chats[number % len(mallory.chats)]
        with mallory.tab() as tab:
            tab.open(chat)
            tab.send(type="setup", chat=chat, books=[book_id])
            while True:
                revision = tab.open(chat)["revision"]
                tab.submit(chat, "x" * 15_000, revision)
                tab.wait("done", "failed", "cancelled", "refused", timeout_s=60)

    at_once(2, work)


def exports(mallory):
    """Everything is downloaded in six threads."""

    def work(number):
        mallory.browser.get("/settings/data" if number % 2 else f"/chat/{mallory.chats[0]}/story.json")

    at_once(6, work)


def many_pages(mallory):
    """Pages are asked for in twelve threads."""
    at_once(12, lambda number: mallory.browser.get(("/", f"/chat/{mallory.chats[0]}", "/characters/new")[number % 3]))


def many_sockets(mallory):
    """Web sockets are opened and left in twelve threads."""

    def work(_number):
        with mallory.tab() as tab:
            tab.open(mallory.chats[0])

    at_once(12, work)


def frame_flood(mallory):
    """Eight sockets send frames as fast as they can: broken ones, large ones, opens."""

    def work(number):
        with mallory.line() as line:
            line.sendall(handshake(mallory.address, mallory.cookie))
            open_it = json.dumps({"type": "open", "chat": mallory.chats[0], "turn": None, "after": 0}).encode()
            while True:
                line.sendall(frame(1, (b"{", b"[" * 60_000, open_it)[number % 3]))

    at_once(8, work)


def zip_bombs(mallory):
    """Character files that unpack to far more than they are, in four threads."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("card.json", b'{"spec":"chara_card_v3","data":{"name":"' + b"A" * 60_000_000 + b'"}}')

    def work(_number):
        mallory.upload("/characters/bring", "/characters/bring", "cards", "a.charx", out.getvalue())

    at_once(4, work)


ATTACKS = {
    attack.__name__: attack
    for attack in (
        slow_bodies,
        slow_headers,
        silent_connections,
        guessed_passwords,
        dice,
        big_stories,
        native_files,
        deep_lore,
        exports,
        many_pages,
        many_sockets,
        frame_flood,
        zip_bombs,
    )
}


def main():
    """Run the attack until standard input ends."""
    mallory = Mallory(sys.argv[2], **json.loads(sys.stdin.readline()))
    threading.Thread(target=ATTACKS[sys.argv[1]], args=(mallory,), daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
