"""What the tabs of a chat want to know at the same moment is read once for all of them."""

import json
import threading
import time

import pytest
from scripted_worker import new_turn
from sqlalchemy import event
from sqlalchemy.engine import Engine

from store.broker import events, keys
from web.live.beat_reads import BeatReads
from web.live.outgoing import LiveMessage

N_TABS = 4


@pytest.fixture
def told(site, ada, tale):
    """Tabs on one chat whose reply is being told, all of them as far as it goes: (tabs, turn)."""
    site.services.maintenance.stop()  # it reads, too
    chat = ada.begin_chat(site.mara)
    tabs = [ada.socket() for _ in range(N_TABS)]
    opened = [tab.open(chat) for tab in tabs]
    turn = new_turn()
    tabs[0].submit(chat, "Go on", opened[0]["revision"], turn)
    tale.claim(turn)
    tale.tell("one ")
    for tab in tabs:
        tab.wait("text")
    return tabs, turn


@pytest.fixture
def statements():
    """The SQL of other threads than this one, as it is executed."""
    seen = []

    def note(_connection, _cursor, statement, *_more):
        if threading.current_thread() is not threading.main_thread():
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


def test_at_the_end_of_a_reply_its_tabs_do_not_all_read_the_chat(told, tale, statements):
    tabs, _ = told
    tale.finish()
    for tab in tabs:
        tab.wait("done")
        tab.send(type="ping")
        tab.wait("pong")
    assert sum("FROM chats" in statement for statement in statements) == 1


def test_what_all_tabs_miss_is_read_once_and_no_more_than_that(told, tale, redis):
    tabs, turn = told
    redis.config_resetstat()
    last = redis.xrevrange(keys.turn_events(turn), count=1)[0][1]
    seq = events.tail(redis, turn).seq + 1
    lost = events.decode(last[b"event"]) | {"seq": seq, "offset": 4, "text": "two "}
    redis.xadd(keys.turn_events(turn), {**last, b"event": json.dumps(lost)}, id=f"{seq}-0")  # and nobody is told
    for tab in tabs:
        assert tab.wait("text")["text"] == "two "
    assert redis.info("commandstats")["cmdstat_xrange"]["calls"] == 1


def test_a_pulse_reads_only_what_comes_after(told, tale, redis, database):
    _, turn = told
    tale.tell("two ", "three ")
    reads = BeatReads(database, redis)
    newest = reads.tail(turn).seq
    assert [one["text"] for one in reads.missing(turn, newest - 2)] == ["two ", "three "]
    assert reads.missing(turn, newest - 2)[0] is reads.missing(turn, newest - 2)[0], "its frame is made once"


def test_a_message_is_asked_once():
    message, asked = LiveMessage({"type": "done"}), []

    def read():
        time.sleep(0.05)
        asked.append(1)
        return 7

    answers = []
    threads = [threading.Thread(target=lambda: answers.append(message.once("x", read))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [7] * 8
    assert asked == [1]


def test_who_could_not_be_answered_may_ask_again():
    message = LiveMessage({})
    with pytest.raises(OSError, match="away"):
        message.once("x", _away)
    assert message.once("x", lambda: 1) == 1


def _away():
    raise OSError("away")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_words_of_a_story_go_on_as_they_came_and_nothing_else_does(language):
    event = {"type": "text", "chat": "c", "part": 0, "offset": 3, "text": "déjà “vu” 🦊 " * 9}
    came = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    assert LiveMessage(event, came).encoded(language) == LiveMessage(event).encoded(language)
    assert LiveMessage(event, b'{"type":"text"}').encoded(language).endswith(b'{"type":"text"}')
    failed = {"type": "failed", "error": {"code": "internal", "message": "Oh."}}
    assert LiveMessage(failed, b"{}").encoded(language) == LiveMessage(failed).encoded(language)
