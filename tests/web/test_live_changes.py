"""What a person changes by hand, over real sockets: messages, the course of the story, notes and settings."""

import zlib

import pytest
from scripted_worker import new_turn

from store import accounts, chats
from store.broker import events
from store.messages import Reply
from store.turns import Outcome, commit

WORDS = [{"text": "Once", "p": 0.5, "top": [["Once", 0.5], ["Twice", 0.25]]}]


@pytest.fixture
def story(site, ada, tale):
    """A chat of Ada's with a greeting, a question and a reply: (chat, a tab on it, another tab on it)."""
    chat = ada.begin_chat(site.mara)
    tab, other = ada.socket(), ada.socket()
    turn = new_turn()
    tab.submit(chat, "Is it you?", tab.open(chat)["revision"], turn)
    tale.claim(turn)
    tale.tell("Once upon a time.")
    commit(
        site.database, turn, tale.attempt, Outcome(replies=(Reply("Once upon a time.", stats={"words": WORDS}),)), {}
    )
    tab.open(chat)
    other.open(chat)
    return chat, tab, other


def texts(opened):
    return [one["alternatives"][one["active"]]["text"] for one in opened["messages"]]


def change(story, kind, number, **more):
    """Do this to a message; the answer, after the other tab was told of it."""
    chat, tab, other = story
    opened = tab.open(chat)
    message = more.pop("message", None) or opened["messages"][number]["id"]
    tab.send(type=kind, message=message, revision=opened["revision"], **more)
    answer = tab.wait("changed", "refused", where=lambda m: m["type"] == "refused" or m.get("by") == kind)
    if answer["type"] == "changed":
        assert answer["message"] == message
        assert answer["revision"] == opened["revision"] + 1
        assert other.wait("changed", where=lambda m: m["revision"] == answer["revision"])["chat"] == chat
    return answer


def test_edit(story):
    chat, _, other = story
    assert change(story, "edit", 1, text="Is it *him*?")["type"] == "changed"
    opened = other.open(chat)
    assert texts(opened)[1:] == ["Is it *him*?", "Once upon a time."]
    assert "<em>him</em>" in opened["messages"][1]["alternatives"][0]["html"]
    refused = change(story, "edit", 1, text="  ")
    assert (refused["error"]["code"], refused["of"]) == ("empty", "edit")


def test_another_title_is_told_to_every_tab_of_its_owner_and_to_nobody_else(site, ada):
    chat, other = ada.begin_chat(site.mara), ada.begin_chat(site.mara)
    bob = site.browser().sign_up(site.invite(), "Bob")
    theirs = bob.begin_chat(site.mara)
    tab, home, beside, foreign = ada.socket(), ada.socket(), ada.socket(), bob.socket()
    for one, shown in ((tab, chat), (beside, other)):
        one.open(shown)
    tab.send(type="setup", chat=chat, title="Steam")
    told = {"type": "titled", "story": chat, "title": "Steam"}
    assert [one.wait("titled") for one in (tab, home, beside)] == [told] * 3
    ada.submit("/chats", {"title": "Silence"}, f"/chats/{chat}/rename")
    assert [one.wait("titled")["title"] for one in (tab, home, beside)] == ["Silence"] * 3
    for story in (chat, theirs):
        events.publish_titled(site.services.redis, accounts.find_user(site.database, "Bob").id, story)
    foreign.wait("titled")
    assert [one["story"] for one in foreign.seen if one["type"] == "titled"] == [theirs], "of none but their own"


def test_an_edit_begun_before_another_window_changed_the_message(story):
    chat, tab, _ = story
    seen = zlib.crc32(texts(tab.open(chat))[1].encode())
    assert change(story, "edit", 1, text="First", seen=seen)["type"] == "changed"
    refused = change(story, "edit", 1, text="Second", seen=seen)
    assert (refused["error"]["code"], refused["of"]) == ("message_moved", "edit")
    assert texts(tab.open(chat))[1] == "First"


def test_delete_everything_below_and_undo(story):
    chat, tab, _ = story
    before = texts(tab.open(chat))
    greeting = tab.open(chat)["messages"][0]["id"]
    assert change(story, "delete_below", 0)["type"] == "changed"
    assert texts(tab.open(chat)) == before[:1]
    assert change(story, "restore_below", 0, message=greeting)["type"] == "changed"
    assert texts(tab.open(chat)) == before


def test_delete_and_undo(story):
    chat, tab, other = story
    before = tab.open(chat)
    gone = change(story, "delete", 1)["message"]
    assert texts(other.open(chat)) == [texts(before)[0], texts(before)[2]]
    change(story, "restore", None, message=gone)
    assert texts(other.open(chat)) == texts(before)


def test_pin(story):
    chat, _, other = story
    change(story, "pin", 1, pinned=True)
    assert [one["pinned"] for one in other.open(chat)["messages"]] == [False, True, False]
    change(story, "pin", 1, pinned=False)
    assert [one["pinned"] for one in other.open(chat)["messages"]] == [False, False, False]


def test_nothing_is_changed_while_a_reply_is_written_or_from_an_old_page(story):
    chat, tab, _ = story
    opened = tab.open(chat)
    message = opened["messages"][1]["id"]
    tab.send(type="pin", message=message, pinned=True, revision=opened["revision"] - 1)
    assert tab.wait("refused")["error"]["code"] == "moved_on"
    tab.submit(chat, "Go on", opened["revision"])
    for kind, more in (("edit", {"text": "x"}), ("delete", {}), ("pin", {"pinned": True})):
        assert change(story, kind, 1, **more)["error"]["code"] == "busy"


def test_branch(story):
    chat, tab, _ = story
    opened = tab.open(chat)
    tab.send(type="branch", message=opened["messages"][1]["id"])
    branched = tab.wait("branched")["chat"]
    assert branched != chat
    assert texts(tab.open(branched)) == texts(opened)[:2]
    assert texts(tab.open(chat)) == texts(opened), "the old story stays"


def test_start_over(story):
    chat, tab, _ = story
    opened = tab.open(chat)
    tab.send(type="setup", chat=chat, author_note="Short sentences.", settings={"temperature": 0.4})
    tab.send(type="start_over", chat=chat)
    fresh = tab.open(tab.wait("branched")["chat"])
    assert texts(fresh) == texts(opened)[:1]
    assert (fresh["author_note"], fresh["settings"]) == ("Short sentences.", {"temperature": 0.4})
    assert texts(tab.open(chat)) == texts(opened), "the old story stays"


def test_setup_is_kept_and_told_to_other_tabs(story):
    chat, tab, other = story
    wanted = {"title": "The lamp", "author_note": "Rain.", "reference": "A map.", "user_persona": "A diver."}
    tab.send(type="setup", chat=chat, **wanted, settings={"temperature": 1, "top_n": 5})
    wanted["settings"] = {"temperature": 1.0, "top_n": 5}
    for one in (tab, other):
        said = one.wait("setup")
        assert {name: said[name] for name in wanted} == wanted
    tab.send(type="setup", chat=chat, reference="")
    assert other.wait("setup")["reference"] == ""
    opened = other.open(chat)
    assert {name: opened[name] for name in wanted} == {**wanted, "reference": ""}


def test_own_presets_are_kept_replaced_and_removed(story):
    _, tab, _ = story
    settings = {"temperature": 1.2, "reply_tokens": 100, "stop": ["THE END"], "seed": 7, "top_n": 5}
    tab.send(type="save_preset", name=" Slow  rain ", settings=settings)
    (kept,) = tab.wait("presets")["presets"]
    settings.pop("top_n")  # whether a chat keeps probabilities is no way of telling
    assert (kept["name"], kept["settings"]) == ("Slow rain", settings)
    tab.send(type="save_preset", name="Slow rain", settings={"top_k": 10})
    (again,) = tab.wait("presets", where=lambda m: m["presets"][0]["settings"] == {"top_k": 10})["presets"]
    assert again["id"] == kept["id"]
    for name, wrong, code in (("", {}, "bad_name"), ("x", {"temperature": 9}, "bad_setting")):
        tab.send(type="save_preset", name=name, settings=wrong)
        refused = tab.wait("refused", where=lambda m, code=code: m["error"]["code"] == code)
        assert refused["of"] == "save_preset"
    tab.send(type="delete_preset", preset=kept["id"])
    tab.wait("presets", where=lambda m: m["presets"] == [])


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"title": " "}, "bad_title"),
        ({"settings": {"temperature": 9}}, "bad_setting"),
        ({"settings": {"model": 1}}, "bad_setting"),
        ({"settings": {"temperature": "1"}}, "bad_frame"),
        ({"settings": {"stop": ["x" * 50]}}, "bad_setting"),
        ({"settings": {"stop": ["x"] * 40}}, "bad_frame"),
        ({"author_note": "x" * 4001}, "too_long"),
        ({"owner_id": "me"}, "bad_frame"),
        ({"window": {}}, "bad_frame"),
    ],
    ids=str,
)
def test_what_a_setup_may_not_be(story, wrong, code):
    chat, tab, _ = story
    tab.send(type="setup", chat=chat, **wrong)
    assert tab.wait("refused")["error"]["code"] == code


def test_why(story):
    chat, tab, _ = story
    opened = tab.open(chat)
    assert [one["alternatives"][0]["why"] for one in opened["messages"]] == [False, False, True]
    tab.send(type="why", message=opened["messages"][2]["id"], position=0)
    answer = tab.wait("why")
    assert (answer["message"], answer["position"]) == (opened["messages"][2]["id"], 0)
    assert answer["words"] == WORDS
    tab.send(type="why", message=opened["messages"][1]["id"], position=0)
    assert tab.wait("why")["words"] == []
    tab.send(type="why", message=opened["messages"][1]["id"], position=7)
    assert tab.wait("refused")["error"]["code"] == "no_such_alternative"


def test_where_the_memory_begins(site, story, tale):
    chat, tab, other = story
    assert tab.open(chat)["memory"] == {"from": 0, "forgotten": 0}
    change(story, "pin", 0, pinned=True)
    turn = new_turn()
    tab.submit(chat, "Go on", tab.open(chat)["revision"], turn)
    tale.claim(turn)
    ordinals = [one["ordinal"] for one in tab.open(chat)["messages"]]
    end = commit(site.database, turn, tale.attempt, Reply("Yes."), window={"messages": ordinals[2]})
    tale.append({"type": "done", **end.as_dict()})
    for one in (tab, other):
        said = one.wait("memory")
        assert (said["from"], said["forgotten"]) == (ordinals[2], 1), "what is pinned is not forgotten"
    assert tab.open(chat)["memory"] == {"from": ordinals[2], "forgotten": 1}
    assert chats.load_story(site.database, chat).chat.window == {"messages": ordinals[2]}
