"""Turns of every kind on their way to the browsers: parts, suggestions, statuses, places in the queue."""

import threading

import pytest
from scripted_worker import new_turn

from store.broker import queue, registry
from store.messages import Reply
from store.turns import NARRATOR, Outcome
from web.live.hub import Hub

FACTS = [{"name": "Mood", "value": "calm", "unit": ""}, {"name": "Place", "value": "the *lamp* room", "unit": ""}]
STATUS = {"fields": FACTS, "turn": "", "tokens": [], "model_key": ""}


@pytest.fixture
def told(site, ada, tale):
    """A chat of Ada's with one reply: (chat, tab, revision)."""
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    turn = new_turn()
    tab.submit(chat, "Hello", tab.open(chat)["revision"], turn)
    tale.claim(turn)
    tale.tell("Come *in")
    tale.finish()
    return chat, tab, tab.wait("done")["revision"]


def test_all_parts_of_a_turn_come_with_their_html(told, tale):
    chat, tab, revision = told
    turn = new_turn()
    assert tab.submit(chat, "Go on", revision, turn, then=["narrate", "status", "suggest"])["type"] == "ack"
    tale.claim(turn)
    tale.part(0, "chat", "character", "Mara", parts=4)
    tale.tell("Well.")
    tale.part(1, "narrate", "narrator", NARRATOR, parts=4)
    tale.tell("*Rain.*")
    replies = (Reply("Well."), Reply("*Rain.*", role="narrator", name=NARRATOR))
    tale.finish(Outcome(replies, "And then?", STATUS))
    done = tab.wait("done")
    parts = [m for m in tab.seen if m["type"] in ("part", "text") and m["turn"] == turn]
    assert [(m["type"], m["part"]) for m in parts] == [("part", 0), ("text", 0), ("part", 1), ("text", 1)]
    assert [(m["role"], m["alternatives"][0]["html"]) for m in done["messages"]] == [
        ("character", "<p>Well.</p>\n"),
        ("narrator", "<p><em>Rain.</em></p>\n"),
    ]
    assert done["message"] == done["messages"][0]
    assert done["suggestion"] == "And then?"
    assert done["messages"][1]["alternatives"][0]["status"] == FACTS
    opened = tab.open(chat)
    assert opened["suggestion"] == {"turn": turn, "text": "And then?"}
    assert opened["messages"][-1]["alternatives"][0]["status"] == FACTS


def test_a_continue_grows_the_message_and_a_retry_writes_it_again(told, tale):
    chat, tab, revision = told
    for kind, reply, texts in (
        ("continue", Reply("Come *in, child.*", grows=True), ["Come *in, child.*"]),
        ("retry", Reply("Go away."), ["Come *in, child.*", "Go away."]),
    ):
        turn = new_turn()
        assert tab.submit(chat, "", revision, turn, kind)["type"] == "ack"
        tale.claim(turn)
        tale.finish(Outcome((reply,)))
        done = tab.wait("done")
        revision = done["revision"]
        assert [one["text"] for one in done["message"]["alternatives"]] == texts
        assert all(one["html"].startswith("<p>") for one in done["message"]["alternatives"])


def test_a_stopped_suggestion_comes_with_what_there_is(told, tale):
    chat, tab, revision = told
    turn = new_turn()
    tab.submit(chat, "", revision, turn, "suggest")
    tab.send(type="stop", turn=turn)
    cancelled = tab.wait("cancelled")
    assert (cancelled["messages"], cancelled["suggestion"]) == ([], None)
    opened = tab.open(chat)
    assert (opened["unanswered"], opened["suggestion"]) == (None, None)


def test_a_failed_narration_can_be_asked_for_again_later(told, tale):
    chat, tab, revision = told
    turn = new_turn()
    tab.submit(chat, "a storm comes up", revision, turn, "narrate")
    tale.claim(turn)
    tale.fail("worker_lost", message="The card stopped. Try again.")
    tab.wait("failed")
    unanswered = tab.open(chat)["unanswered"]
    assert (unanswered["turn"], unanswered["kind"]) == (turn, "narrate")
    assert unanswered["error"]["message"] == "The card stopped. Try again."


def test_bad_lists_of_parts_are_refused(told):
    chat, tab, revision = told
    for kind, then in (("narrate", ["narrate"]), ("chat", ["status", "status"]), ("suggest", ["suggest"])):
        answer = tab.submit(chat, "x", revision, kind=kind, then=then)
        assert answer["error"]["code"] == "bad_kind"
    for then in (["chat"], ["retry"], "status", ["status"] * 9):
        tab.send(type="submit", id=new_turn(), chat=chat, kind="chat", revision=revision, text="x", then=then)
        assert tab.wait("refused")["error"]["code"] == "bad_frame"


def test_places_are_told_as_soon_as_the_queue_moves(site, ada, bo, tale, redis):
    site.services.maintenance.stop()  # a repair in just this moment would put a turn at the front
    tale.present()
    first, second, turn = ada.begin_chat(site.mara), bo.begin_chat(site.mara), new_turn()
    one, two = ada.socket(), bo.socket()
    one.submit(first, "I was first", one.open(first)["revision"], turn)
    mine = new_turn()
    two.submit(second, "Then me", two.open(second)["revision"], mine)
    two.seen_or_wait(lambda m: m.get("ahead") == 1)  # perhaps before the ack
    registry.announce(redis, registry.WorkerView("tale", "none", 1, 1, (), 0.0, (4.0,), (10.0,) * 5), ttl_s=60)
    one.send(type="stop", turn=turn)
    place = two.wait("place", where=lambda m: m["ahead"] == 0)
    assert (place["turn"], place["state"]) == (mine, "queued")
    assert place["eta_s"] is not None


class CountingTab:
    """A tab that counts how often it was told that queues have moved."""

    def __init__(self):
        self.told = threading.Semaphore(0)
        self.times = 0

    def queues_moved(self):
        self.times += 1
        self.told.release()

    def beat(self, reads):
        pass

    def close(self, code, reason):
        pass

    abort = close


def test_many_moves_of_queues_are_told_together(redis):
    hub, tab = Hub(redis, lambda: None, beat_s=3600), CountingTab()
    hub.join(tab)
    hub.start()
    assert hub.wait_until_listening(10)
    for _ in range(200):
        queue.announce_moved(redis, "tale")
    assert tab.told.acquire(timeout=60)
    assert tab.told.acquire(timeout=60), "the last moves count too"
    assert tab.times < 100
    hub.leave(tab)
    hub.stop()
