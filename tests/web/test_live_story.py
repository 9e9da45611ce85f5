"""The path of a reply to the browsers: acknowledged once, streamed to all tabs, resumed with no hole and no double."""

import pytest
from scripted_worker import new_turn

from store import accounts, turns
from store.broker import events
from store.messages import Reply
from web.live import snapshot
from web.live.beat_reads import BeatReads
from web.live.viewer import GRACE_S, Viewer


def words(socket, turn):
    return [(m["seq"], m["text"]) for m in socket.seen if m["type"] == "text" and m["turn"] == turn]


def test_two_tabs_see_the_same_words(site, ada, tale):
    chat = ada.begin_chat(site.mara)
    one, two = ada.socket(), ada.socket()
    opened = one.open(chat)
    two.open(chat)
    assert opened["messages"][0]["role"] == "character"
    turn = new_turn()
    ack = one.submit(chat, "Hello *there*", opened["revision"], turn)
    assert ack["message"]["alternatives"][0]["html"] == "<p>Hello <em>there</em></p>\n"
    assert ack["revision"] == opened["revision"] + 1
    assert two.wait("changed")["turn"] == turn
    tale.claim(turn)
    tale.tell("Once ", "upon ", "a time")
    tale.finish()
    for tab in (one, two):
        done = tab.wait("done")
        assert "".join(text for _, text in words(tab, turn)) == "Once upon a time"
        assert done["message"]["alternatives"][0]["html"] == "<p>Once upon a time</p>\n"
        assert done["revision"] == ack["revision"] + 1
        tab.close()


def test_sending_twice_makes_one_turn(site, ada, tale):
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    revision = tab.open(chat)["revision"]
    turn = new_turn()
    first = tab.submit(chat, "Only once", revision, turn)
    again = ada.socket()
    second = again.submit(chat, "Only once", revision, turn)
    assert first["type"] == second["type"] == "ack"
    assert first["message"]["id"] == second["message"]["id"]
    tale.claim(turn)
    tale.tell("Yes.")
    tale.finish()
    tab.wait("done")
    third = again.submit(chat, "Only once", revision, turn)
    assert third["state"] == "done"
    assert tale.texts(chat)[1:] == ["Only once", "Yes."]


def test_a_tab_that_comes_back_misses_nothing_and_gets_nothing_twice(site, ada, tale):
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    revision = tab.open(chat)["revision"]
    turn = new_turn()
    tab.submit(chat, "Go on", revision, turn)
    tale.claim(turn)
    tale.tell("one ", "two ")
    last = tab.wait("text", where=lambda m: m["text"] == "two ")["seq"]
    tab.close()
    tale.tell("three ", "four ")
    back = ada.socket()
    opened = back.open(chat, turn, last)
    assert (opened["turn"]["id"], opened["after"]) == (turn, last)
    tale.tell("five")
    tale.finish()
    back.wait("done")
    numbers = [m["seq"] for m in back.seen if m.get("turn") == turn and "seq" in m]
    assert numbers == list(range(last + 1, last + 1 + len(numbers)))
    assert [text for _, text in words(back, turn)] == ["three ", "four ", "five"]


def test_a_new_page_in_mid_reply_gets_all_of_it(site, ada, tale):
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    turn = new_turn()
    tab.submit(chat, "Go on", tab.open(chat)["revision"], turn)
    tale.claim(turn)
    tale.tell("one ", "two ")
    fresh = ada.socket()
    opened = fresh.open(chat)
    assert opened["after"] == 0
    assert [m["alternatives"][0]["text"] for m in opened["messages"]][1:] == ["Go on"]
    tale.tell("three")
    tale.finish()
    fresh.wait("done")
    assert [text for _, text in words(fresh, turn)] == ["one ", "two ", "three"]


def test_what_pub_sub_loses_is_read_from_the_stream(site, ada, tale, redis):
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    turn = new_turn()
    tab.submit(chat, "Go on", tab.open(chat)["revision"], turn)
    tale.claim(turn)
    tale.tell("one ")
    tab.wait("text")
    redis.client_kill_filter(_type="pubsub")  # the subscription is gone; redis-py makes a new one and says nothing
    tale.tell("two ", "three ")
    tale.finish()
    tab.wait("done")
    assert [text for _, text in words(tab, turn)] == ["one ", "two ", "three "]


def test_a_stream_that_was_lost_and_begun_anew_is_read_from_its_beginning(site, ada, tale, redis):
    """Redis was emptied; when the tab hears again, the new numbers are higher than those that it knows."""
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    turn = new_turn()
    tab.submit(chat, "Go on", tab.open(chat)["revision"], turn)
    tale.claim(turn)
    tale.tell("one ")
    known = tab.wait("text")
    redis.flushall()
    redis.client_kill_filter(_type="pubsub")
    whole = [{"type": "text", "part": 0, "offset": 0, "text": word} for word in ("one t", "one two ")]  # as a feed does
    tale.append({"type": "text", "part": 0, "offset": 4, "text": "two "}, *whole)
    tale.told = "one two "
    tale.tell("three ", "four")
    n_seen = len(tab.seen)
    tab.wait("opened")
    tale.finish()
    tab.wait("done")
    after = tab.seen[n_seen:]
    opened = next(n for n, m in enumerate(after) if m["type"] == "opened")
    told = [m for m in after[opened:] if m.get("turn") == turn and "seq" in m]
    assert [m["seq"] for m in told] == list(range(1, len(told) + 1))
    assert known["stream"] not in {m["stream"] for m in told}
    shown = ""
    for text in (m for m in told if m["type"] == "text"):
        shown = shown[: text["offset"]] + text["text"]
    assert shown == tale.told


def test_a_tab_that_knows_a_lost_stream_gets_all_of_the_new_one(site, ada, tale, redis):
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    turn = new_turn()
    tab.submit(chat, "Go on", tab.open(chat)["revision"], turn)
    tale.claim(turn)
    tale.tell("one ")
    known = tab.wait("text")
    tab.close()
    redis.flushall()
    tale.told = ""
    tale.tell(*(f"{n} " for n in range(known["seq"] + 3)))
    back = ada.socket()
    back.send(type="open", chat=chat, turn=turn, after=known["seq"], stream=known["stream"])
    back.wait("opened")
    tale.finish()
    back.wait("done")
    assert "".join(text for _, text in words(back, turn)) == tale.told


def test_an_end_that_redis_forgot_is_told_from_sql(site, ada, tale, redis):
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    turn = new_turn()
    tab.submit(chat, "Go on", tab.open(chat)["revision"], turn)
    tale.claim(turn)
    tale.tell("one ", "two ", "three")
    tab.wait("text", where=lambda m: m["text"] == "three")
    site.services.maintenance.stop()  # it would announce the end by itself
    turns.commit(site.database, turn, tale.attempt, Reply(tale.told), {})
    redis.flushall()
    opened = tab.wait("opened")
    assert opened["turn"] is None
    assert opened["messages"][-1]["alternatives"][0]["text"] == "one two three"
    assert opened["ended"] == {
        "turn": turn, "kind": "chat", "state": "done", "messages": [opened["messages"][-1]["id"]]
    }  # fmt: skip


def test_who_was_away_is_told_how_the_turn_ended_that_they_waited_for(site, ada, bo, tale):
    chat, other = ada.begin_chat(site.mara), ada.begin_chat(site.mara)
    tab, first, second = ada.socket(), new_turn(), new_turn()
    tab.submit(chat, "Go on", tab.open(chat)["revision"], first)
    assert tab.open(chat, first)["ended"] is None, "it is not over"
    tale.claim(first)
    tale.tell("one ")
    tale.finish()
    revision = tab.wait("done")["revision"]
    opened = ada.socket().open(chat, first, 3)
    reply = opened["messages"][-1]["id"]
    assert opened["ended"] == {"turn": first, "kind": "chat", "state": "done", "messages": [reply]}
    assert opened["after"] == 0
    assert ada.socket().open(chat)["ended"] is None, "who waits for nothing is told nothing"
    assert ada.socket().open(chat, new_turn())["ended"] is None, "it has never come here"
    assert ada.socket().open(other, first)["ended"] is None, "it is none of this chat"
    assert bo.socket().open(bo.begin_chat(site.mara), first)["ended"] is None, "nor anybody else's"
    tab.submit(chat, "And on", revision, second)
    tale.claim(second)
    assert ada.socket().open(chat, first)["ended"]["turn"] == first, "another one has begun since"
    tale.fail("worker_lost", message="The card stopped. Try again.")
    tab.wait("failed")
    assert ada.socket().open(chat, second)["ended"] == {
        "turn": second, "kind": "chat", "state": "failed", "messages": []
    }  # fmt: skip


def test_who_comes_waits_for_their_turn_and_nobody_else_does(site, ada, tale):
    chat = ada.begin_chat(site.mara)
    here, late = ada.socket(), ada.socket()
    turn = new_turn()
    here.submit(chat, "Go on", here.open(chat)["revision"], turn)
    tale.claim(turn)
    with snapshot.SLOTS, snapshot.SLOTS:  # two others are on their way in
        late.send(type="open", chat=chat)
        tale.tell("one ", "two ")
        here.wait("text", where=lambda m: m["text"] == "two ")
        while (said := late.poll(0.2)) is not None:
            assert said["type"] != "opened"
    assert late.wait("opened")["turn"]["id"] == turn
    tale.finish()
    late.wait("done")
    assert [text for _, text in words(late, turn)] == ["one ", "two "]


@pytest.fixture
def viewer(site, ada, tale):
    """What a tab is shown of a turn that is being told, without its line: (viewer, what it was sent, chat, turn)."""
    chat, turn, sent = ada.begin_chat(site.mara), new_turn(), []
    tab = ada.socket()
    tab.submit(chat, "Go on", tab.open(chat)["revision"], turn)
    tab.close()
    tale.claim(turn)
    tale.tell("one ")
    site.services.maintenance.stop()
    seen = Viewer(site.services, accounts.find_user(site.database, "Ada").id, sent.append)
    seen.open(chat, None, 0)
    return seen, sent, chat, turn


def test_a_worker_may_take_a_moment_from_the_end_to_telling_it(site, viewer, tale, redis):
    seen, sent, _, turn = viewer
    before = [message["type"] for message in sent]
    end = turns.commit(site.database, turn, tale.attempt, Reply("one "), {})
    seen.beat(BeatReads(site.database, redis, at=10.0))
    seen.beat(BeatReads(site.database, redis, at=10.0 + GRACE_S / 2))
    assert [message["type"] for message in sent] == before
    tale.append({"type": "done", **end.as_dict()})
    seen.beat(BeatReads(site.database, redis, at=10.0 + 2 * GRACE_S))
    assert [message["type"] for message in sent] == [*before, "done"]


def test_an_end_that_is_not_told_in_time_is_shown(site, viewer, tale, redis):
    seen, sent, _, turn = viewer
    turns.commit(site.database, turn, tale.attempt, Reply("one "), {})
    seen.beat(BeatReads(site.database, redis, at=10.0))
    seen.beat(BeatReads(site.database, redis, at=10.0 + GRACE_S))
    assert sent[-1]["type"] == "opened"
    assert sent[-1]["turn"] is None


def test_a_turn_that_the_page_shows_as_ended_is_not_told_again(site, ada, tale):
    """Its last words come late, when the next turn is already being told."""
    chat = ada.begin_chat(site.mara)
    early = ada.socket()
    first, second = new_turn(), new_turn()
    early.submit(chat, "Go on", early.open(chat)["revision"], first)
    tale.claim(first)
    tale.tell("one ")
    attempt = tale.attempt
    end = turns.commit(site.database, first, attempt, Reply("one "), {})
    early.submit(chat, "And on", end.as_dict()["revision"], second)
    tale.claim(second)
    tale.tell("two ")
    late = ada.socket()
    assert late.open(chat)["turn"]["id"] == second
    late.wait("text")
    events.append(tale.redis, chat, first, attempt, [{"type": "done", **end.as_dict()}])
    tale.tell("three ")
    late.wait("text")
    told = [m for m in late.seen if "seq" in m]
    assert {m["turn"] for m in told} == {second}
    assert [m["seq"] for m in told] == list(range(1, len(told) + 1))


def test_a_failure_is_told_and_kept(site, ada, tale):
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    turn = new_turn()
    tab.submit(chat, "Go on", tab.open(chat)["revision"], turn)
    tale.claim(turn)
    tale.fail("worker_lost", message="The card stopped. Try again.")
    assert tab.wait("failed")["error"]["message"] == "The card stopped. Try again."
    opened = tab.open(chat)
    assert opened["unanswered"]["error"]["code"] == "worker_lost"
    again = new_turn()
    assert tab.submit(chat, "", opened["revision"], again, kind="retry")["type"] == "ack"
    tale.claim(again)
    tale.tell("Here I am.")
    tale.finish()
    tab.wait("done")
    assert tale.texts(chat)[1:] == ["Go on", "Here I am."]


def test_retry_and_choosing_a_wording(site, ada, tale):
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    revision = tab.open(chat)["revision"]
    for kind, text, reply in (("chat", "Hi", "First."), ("retry", "", "Second.")):
        turn = new_turn()
        tab.submit(chat, text, revision, turn, kind)
        tale.claim(turn)
        tale.tell(reply)
        tale.finish()
        done = tab.wait("done")
        revision = done["revision"]
    assert (done["message"]["active"], len(done["message"]["alternatives"])) == (1, 2)
    other = ada.socket()
    other.open(chat)
    tab.send(type="choose", message=done["message"]["id"], position=0, revision=revision)
    assert other.wait("changed")["revision"] == revision + 1
    assert other.open(chat)["messages"][-1]["active"] == 0


def test_stop_before_anybody_began(site, ada, tale):
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    turn = new_turn()
    tab.submit(chat, "Wait", tab.open(chat)["revision"], turn)
    tab.send(type="stop", turn=turn)
    assert tab.wait("cancelled")["message"] is None
    assert tab.open(chat)["unanswered"]["error"]["code"] == "cancelled"


def test_what_is_refused_and_why(site, ada, tale):
    chat, other = ada.begin_chat(site.mara), ada.begin_chat(site.mara)
    tab = ada.socket()
    revision = tab.open(chat)["revision"]

    def code(**changes):
        return tab.submit(**{"chat": chat, "text": "x", "revision": revision, **changes})["error"]["code"]

    assert code(text="  ") == "empty"
    assert code(turn="zz") == "bad_turn_id"
    assert code(revision=revision + 7) == "moved_on"
    assert code(text="", kind="retry") == "nothing_to_retry"
    assert tab.submit(chat, "one", revision)["type"] == "ack"
    assert code(revision=revision + 1) == "busy"
    assert tab.submit(other, "two", revision)["type"] == "ack"
    third = ada.begin_chat(site.mara)
    assert code(chat=third) == "too_many_waiting"
    tab.send(type="submit", id=new_turn(), chat=chat, kind="os.system", revision=1, text="x")
    assert tab.wait("refused")["error"]["code"] == "bad_frame"
    tab.send_text("not json")
    assert tab.wait("refused")["error"]["code"] == "bad_frame"


def test_the_place_in_the_queue_is_told(site, ada, bo, tale):
    site.services.maintenance.stop()  # a repair in just this moment would put a turn at the front
    first, second = ada.begin_chat(site.mara), bo.begin_chat(site.mara)
    one, two = ada.socket(), bo.socket()
    one.submit(first, "I was first", one.open(first)["revision"])
    two.submit(second, "Then me", two.open(second)["revision"])
    assert two.seen_or_wait(lambda m: m.get("ahead") is not None)["ahead"] == 1


def test_the_house_says_goodbye_with_1012(site, ada):
    tab = ada.socket()
    tab.open(ada.begin_chat(site.mara))
    site.services.hub.stop()
    assert tab.wait_for_close().code == 1012
