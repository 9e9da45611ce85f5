"""Races without faults, over real sockets: many identical sends at once, and two browsers on one chat.

What it does: `same_send` and `two_browsers` play on a house that runs, and return sentences about what went wrong.
What it refuses to know: how a race is decided.
"""

import json
import threading
import time
import uuid
from functools import partial

from tests.deploy.player import Tab as Line
from tests.nemesis import audit
from tests.nemesis.screen import ENDS

KEEPS_DRAFT = frozenset({"moved_on", "busy", "too_many_waiting"})
ANSWER_S = 60
RACE_S = 0.25  # a race takes at least so long: a window may send 20 messages a second, and sends about four in each


class Browser:
    """One socket on one chat; waits for what it wants to hear."""

    def __init__(self, house, person, chat):
        self.chat = chat
        headers = {"Origin": house.address, "Cookie": person.cookie}
        self._ws = Line.connect(house.address.replace("http", "ws", 1) + "/ws", headers=headers)
        self.revision = self.open()["revision"]

    def open(self):
        """A fresh snapshot."""
        self.say(type="open", chat=self.chat, turn=None, after=0)
        return self.hear(lambda message: message["type"] == "opened")

    def say(self, **frame):
        """Send a frame."""
        self._ws.send(json.dumps(frame))

    def submit(self, turn, text):
        """Send a message, not waiting for the answer."""
        self.say(type="submit", id=turn, chat=self.chat, kind="chat", revision=self.revision, text=text)

    def answer(self, turn):
        """The answer to a submit."""
        return self.hear(lambda message: message["type"] in ("ack", "refused") and message["id"] == turn)

    def hear(self, wanted):
        """The next message that is wanted."""
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            frame = self._ws.receive(timeout=1)
            if frame is not None and wanted(message := json.loads(frame)):
                return message
        raise TimeoutError("the server does not answer")

    def settle(self):
        """Wait until no turn is under way; the snapshot."""
        while (shot := self.open())["turn"] is not None:
            turn = shot["turn"]["id"]
            self.hear(lambda message, turn=turn: message["type"] in ENDS and message.get("turn") == turn)
        self.revision = shot["revision"]
        return shot

    def close(self):
        """Hang up."""
        self._ws.close()


def same_send(house, person, n=50, n_sockets=10):
    """The same turn `n` times at once: all are acknowledged, there is one turn, one message and one reply."""
    browsers = [Browser(house, person, person.chats[-1]) for _ in range(n_sockets)]
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
    n_turns = sum(row["id"] == turn or row["chat_id"] == person.chats[-1] for row in audit.turns(house.sqlite_file))
    if n_turns != 1:
        yield f"{n_turns} turns"


def two_browsers(house, person, n):
    """Two windows send different words on the same revision, `n` times: one is acknowledged, one keeps its draft."""
    chat = person.chats[-1]
    pair = [Browser(house, person, chat) for _ in range(2)]
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
    yield from _interleaved(audit.messages(house.sqlite_file, [chat])[chat][1:], said)


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
