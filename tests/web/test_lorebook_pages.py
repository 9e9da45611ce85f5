"""Lorebooks over real HTTP: brought along, looked into, changed, tried, attached to a chat, taken along."""

import json
import re

import pytest
from test_pages import Member, code_of

from store import accounts, characters, chats
from store.lore import books
from store.messages import Reply
from store.turns import Outcome

WORLD = {
    "name": "Seas",
    "entries": {
        "0": {"uid": 0, "key": ["kraken"], "comment": "Of krakens", "content": "It sleeps.", "mine": {"kept": [1]}},
        "1": {"uid": 1, "key": ["/squids?/i"], "keysecondary": ["deep"], "selective": True, "content": "Ink."},
    },
}
FORM = {"order": "100", "probability": "100", "scan_depth": "", "sticky": "0", "cooldown": "0", "delay": "0"}


@pytest.fixture
def me(site):
    return Member(site)


@pytest.fixture
def book(me):
    """The address of a book of mine."""
    return bring(me, WORLD).headers["Location"]


def bring(member, data, filename="seas.json"):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return member.send("/books", {}, "/books", files={"file": (filename, data, "application/json")})


def kept(site, member):
    (one,) = books.list_books(site.database, member.view.id)
    return one.data


def seen(page):
    return re.search(r'name="seen" value="(\w+)"', page.text).group(1)


def test_a_book_comes_in_and_goes_out_as_it_came(site, me, book):
    assert kept(site, me) == WORLD
    page = me.get(book)
    assert code_of(page) == "book-brought"
    assert page.text.count('data-testid="entry"') == 2
    assert "Of krakens" in page.text
    assert 'data-verdict="kept"' in page.text
    assert "Seas" in me.get("/books").text
    out = me.get(f"{book}/original.json")
    assert out.json() == WORLD
    assert "attachment" in out.headers["Content-Disposition"]
    v3 = me.get(f"{book}/lorebook.json").json()
    assert (v3["spec"], v3["data"]["name"], len(v3["data"]["entries"])) == ("lorebook_v3", "Seas", 2)
    assert v3["data"]["entries"][0]["extensions"]["mine"] == {"kept": [1]}


def test_a_file_that_is_none_is_refused_with_a_reason(site, me):
    for data, words in (
        (b"", "This file is empty."),
        (b"{", "cannot be read as JSON"),
        (b"[1]", "There is no lorebook in this file"),
        (b'{"name": "A card"}', "There is no lorebook in this file"),
        (b"[" * 99, "nested too deeply"),
        (b'{"entries": [' + b" " * (1 << 20) + b"]}", "larger than 1 MB"),
    ):
        answer = bring(me, data)
        assert answer.status_code == 422, words
        assert words in answer.text
    assert books.list_books(site.database, me.view.id) == ()


def test_several_files_come_in_each_by_itself(site, me):
    files = [("file", (f"{n}.json", json.dumps({"entries": []}), "application/json")) for n in ("one", "two")]
    assert me.send("/books", {}, "/books", files=files).headers["Location"] == "/books"
    answer = me.send("/books", {}, "/books", files=[*files, ("file", ("bad.json", "{", "application/json"))])
    assert answer.status_code == 422
    assert "bad.json: The card is damaged" in answer.text
    assert [name for _, name in books.list_names(site.database, me.view)] == ["one", "one", "two", "two"]


def test_a_book_without_a_name_is_called_like_its_file(me):
    assert "whales" in me.get(bring(me, {"entries": []}, "whales.json").headers["Location"]).text


def test_an_entry_is_changed_and_nothing_else(site, me, book):
    page = me.get(f"{book}/entries/0")
    assert "kraken" in page.text
    form = FORM | {"name": "Of krakens", "keys": "kraken\nbeast", "content": "It wakes.", "enabled": "1"}
    form |= {"sticky": "3", "whole_words": "1", "seen": seen(page)}
    assert me.send(f"{book}/entries/0", form, book).status_code == 302
    entry = kept(site, me)["entries"]["0"]
    assert entry == WORLD["entries"]["0"] | {"key": ["kraken", "beast"], "content": "It wakes.", "sticky": 3}
    assert kept(site, me)["entries"]["1"] == WORLD["entries"]["1"]
    stale = me.send(f"{book}/entries/0", form | {"content": "Mine."}, book)
    assert stale.status_code == 422
    assert "changed in another window" in stale.text
    assert "Mine." in stale.text


def test_a_wrong_number_is_said_and_nothing_is_lost(site, me, book):
    form = FORM | {
        "keys": "a",
        "content": "My long text",
        "probability": "many",
        "seen": seen(me.get(f"{book}/entries/0")),
    }
    answer = me.send(f"{book}/entries/0", form, book)
    assert answer.status_code == 422
    assert "This is a whole number from 0 to 100." in answer.text
    assert "My long text" in answer.text
    assert kept(site, me) == WORLD


def test_entries_are_added_and_removed(site, me, book):
    seen_by_new = seen(me.get(f"{book}/entries/new"))
    form = FORM | {"name": "New", "keys": "whale", "content": "It sings.", "enabled": "1", "whole_words": "1"}
    assert me.send(f"{book}/entries", form | {"seen": seen_by_new}, book).status_code == 302
    assert kept(site, me)["entries"]["2"]["key"] == ["whale"]
    assert me.get(f"{book}/entries/9").status_code == 404
    me.send(f"{book}/entries/2/delete", {"seen": "not what I saw"}, book)
    assert code_of(me.get(book)) == "entry_moved"
    me.send(f"{book}/entries/2/delete", {"seen": seen(me.get(f"{book}/entries/2"))}, book)
    assert kept(site, me) == WORLD


def test_a_text_says_which_entries_would_wake(me, book):
    page = me.submit(book, {"text": "A squid from the deep"}, f"{book}/try")
    assert page.text.count('data-testid="woken"') == 1
    assert "/squids?/i" in page.text
    assert 'data-testid="none-woken"' in me.submit(book, {"text": "Nothing"}, f"{book}/try").text


def test_names_and_the_end_of_a_book(site, me, book):
    me.send(f"{book}/name", {"name": "Oceans"}, book)
    assert "Oceans" in me.get("/books").text
    me.send(f"{book}/name", {"name": "  "}, book)
    assert code_of(me.get(book)) == "bad_book_name"
    me.send(f"{book}/delete", {}, book)
    assert books.list_books(site.database, me.view.id) == ()
    assert me.get(book).status_code == 404


def test_a_characters_own_book_is_in_its_card(site, me):
    character = me.character(name="Mo")
    book = f"/books/of-{character}"
    assert f'href="{book}"' in me.get(f"/characters/{character}").text
    form = FORM | {"name": "Home", "keys": "home", "content": "A mill.", "enabled": "1", "whole_words": "1"}
    me.send(f"{book}/entries", form | {"seen": seen(me.get(f"{book}/entries/new"))}, book)
    card = characters.get_character(site.database, me.view, character).card
    assert card["character_book"]["entries"][0]["keys"] == ["home"]
    assert me.get(f"{book}/lorebook.json").json()["data"]["entries"][0]["content"] == "A mill."
    assert me.get(f"/books/of-{site.mara}").status_code == 404
    assert me.send(f"{book}/delete", {}, book).status_code == 404


def test_a_chat_uses_a_book_and_its_branch_does(site, ada, tale):
    chat = ada.begin_chat(site.mara)
    owner = accounts.find_user(site.database, "Ada")
    book = books.add_book(site.database, owner.id, WORLD)
    tab = ada.socket()
    assert tab.open(chat)["books"] == []
    tab.send(type="setup", chat=chat, books=[book.id])
    assert tab.wait("setup")["books"] == [book.id]
    assert 'data-testid="setup-book"' in ada.get(f"/chat/{chat}").text
    message = tab.open(chat)["messages"][-1]["id"]
    tab.send(type="branch", message=message)
    branch = tab.wait("branched")["chat"]
    assert [one.name for one in chats.load_story(site.database, branch).books] == ["Seas"]
    tab.send(type="setup", chat=chat, books=["0" * 32])
    assert tab.wait("refused")["error"]["code"] == "not_found"
    tab.send(type="setup", chat=chat, books=[])
    assert tab.wait("setup")["books"] == []


def test_what_was_added_is_told_to_its_owner(site, ada, tale):
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    opened = tab.open(chat)
    ack = tab.submit(chat, "A kraken?", opened["revision"])
    tale.claim(ack["id"])
    tale.tell("Yes.")
    line = {"name": "Of krakens", "key": "kraken", "book": "Seas", "tokens": 7, "why": "key", "new": True}
    tale.finish(Outcome((Reply("Yes.", stats={"lore": [line]}),)))
    tab.wait("done")
    message = tab.open(chat)["messages"][-1]
    assert message["alternatives"][0]["lore"] is True
    tab.send(type="added", message=message["id"], position=0)
    assert tab.wait("added")["lore"] == [line]


def test_an_account_goes_with_its_books(site, me, book):
    accounts.create_invite(site.database, "admin")
    accounts.delete_account(site.database, me.view.id)
    assert accounts.find_user(site.database, "Ada") is None
