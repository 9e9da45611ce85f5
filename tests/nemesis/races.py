"""Races without faults, over real sockets: many identical sends at once, and two browsers on one chat.

What it does: `same_send` and `two_browsers` play on a running installation, and return sentences about what went wrong.
What it refuses to know: how a race is decided.
"""

import threading
import time
import uuid
from functools import partial

from tests.harness.socket_client import SocketClient
from tests.nemesis import audit
from tests.nemesis.screen import ENDS

KEEPS_DRAFT = frozenset({"moved_on", "busy", "too_many_waiting"})
ANSWER_S = 60
RACE_S = 0.25  # a race takes at least so long: a window may send 20 messages a second, and sends about four in each


class Browser:
    """One socket on one chat; waits for what it wants to hear."""

    def __init__(self, installation, person, chat):
        self.chat = chat
        self._socket = SocketClient(installation.address, person.cookie)
        self.revision = self.open()["revision"]

    def open(self):
        """A fresh snapshot."""
        self._socket.send(type="open", chat=self.chat, turn=None, after=0)
        return self._socket.wait("opened", timeout_s=ANSWER_S)

    def submit(self, turn, text):
        """Send a message, not waiting for the answer."""
        self._socket.send(type="submit", id=turn, chat=self.chat, kind="chat", revision=self.revision, text=text)

    def answer(self, turn):
        """The answer to a submit."""
        return self._socket.wait("ack", "refused", where=lambda message: message["id"] == turn, timeout_s=ANSWER_S)

    def wait(self, *types, where):
        """The next message of one of these types for which `where` holds."""
        return self._socket.wait(*types, where=where, timeout_s=ANSWER_S)

    def settle(self):
        """Wait until no turn is under way; the snapshot."""
        while (shot := self.open())["turn"] is not None:
            turn = shot["turn"]["id"]
            self._socket.wait(*ENDS, where=lambda message, turn=turn: message.get("turn") == turn, timeout_s=ANSWER_S)
        self.revision = shot["revision"]
        return shot

    def close(self):
        """Hang up."""
        self._socket.close()


def same_send(installation, person, n=50, n_sockets=10):
    """The same turn `n` times at once: all are acknowledged, there is one turn, one message and one reply."""
    browsers = [Browser(installation, person, person.chats[-1]) for _ in range(n_sockets)]
    turn, answers = uuid.uuid4().hex, []

    def click(browser):
        for _ in range(n // n_sockets):
            browser.submit(turn, "Only once.")
        answers.extend(browser.answer(turn) for _ in range(n // n_sockets))

    _at_once([partial(click, browser) for browser in browsers])
    shot = browsers[0].settle()
    for browser in browsers:
        browser.close()
    if len(answers) != n or {answer["type"] for answer in answers} != {"ack"}:
        yield f"{len(answers)} answers to {n} identical sends: {sorted({answer['type'] for answer in answers})}"
    mine = [message["role"] for message in shot["messages"] if message["turn_id"] == turn]
    if mine != ["user", "character"]:
        yield f"one turn, sent {n} times, left {mine}"
    n_turns = sum(
        row["id"] == turn or row["chat_id"] == person.chats[-1] for row in audit.turns(installation.sqlite_file)
    )
    if n_turns != 1:
        yield f"{n_turns} turns"


def two_browsers(installation, person, n):
    """Two windows send different words on the same revision, `n` times: one is acknowledged, one keeps its draft."""
    chat = person.chats[-1]
    pair = [Browser(installation, person, chat) for _ in range(2)]
    said = []
    for race in range(n):
        began = time.monotonic()
        turns = [uuid.uuid4().hex for _ in pair]
        texts = [f"race {race} window {window}" for window in range(2)]
        _at_once([partial(*one) for one in zip([browser.submit for browser in pair], turns, texts, strict=True)])
        answers = [browser.answer(turn) for browser, turn in zip(pair, turns, strict=True)]
        kinds = sorted(answer["type"] for answer in answers)
        if kinds != ["ack", "refused"]:
            yield f"race {race} was answered {kinds}"
        for answer, text in zip(answers, texts, strict=True):
            if answer["type"] == "ack":
                said.append(text)
            elif answer["error"]["code"] not in KEEPS_DRAFT:
                yield f"race {race}: the loser was refused as {answer['error']}"
        for browser in pair:
            browser.settle()
        time.sleep(max(0.0, began + RACE_S - time.monotonic()))
    for browser in pair:
        browser.close()
    yield from _interleaved(audit.messages(installation.sqlite_file, [chat])[chat][1:], said)


def _interleaved(messages, said):
    heard = [message["alternatives"][0]["text"] for message in messages[::2]]
    if heard != said:
        yield f"the acknowledged words are {len(said)}, the transcript has {len(heard)}, or in another order"
    for message, reply in zip(messages[::2], messages[1::2], strict=False):
        if (message["role"], reply["role"]) != ("user", "character") or message["turn_id"] != reply["turn_id"]:
            yield f"{message['alternatives'][0]['text']!r} is not followed by its reply"
    if len(messages) % 2:
        yield "the last message has no reply"


def _at_once(calls):
    barrier = threading.Barrier(len(calls))

    def run(call):
        barrier.wait()
        call()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
