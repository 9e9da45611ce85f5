"""The search page and the passages of a story, over HTTP: what one finds, and that nobody finds what is not theirs."""

import re

import pytest
from sqlalchemy import update

from store import accounts, chat_transfer, search
from store.characters import list_characters
from store.chat_files.document import ChatDocument, DocAlternative, DocMessage
from store.models import Message

HIT = re.compile(r'href="(/chat/\w+#m\d+)" data-testid="hit"')


@pytest.fixture
def tell(site):
    """`tell(name, *texts)`: an indexed story of this person; its id."""

    def told(name, *texts):
        owner = accounts.find_user(site.database, name)
        character = list_characters(site.database, owner)[0]
        lines = tuple(DocMessage("user", name, (DocAlternative(one, 9.0),), 9.0) for one in texts)
        document = ChatDocument(
            character_name=character.name, user_name=name, messages=lines, created_at=9.0, title=f"The tale of {name}"
        )
        chat = chat_transfer.import_chat(site.database, owner.id, character.id, document)
        while search.index_some(site.database):
            pass
        return chat.id

    return told


def test_a_word_is_found_marked_and_linked_to_its_message(ada, tell):
    chat_id = tell("Ada", "First.", "Two <b>lanterns</b> burn.", "我们在客栈等老铁匠。")
    page = ada.get("/search?q=lantern").text
    assert HIT.findall(page) == [f"/chat/{chat_id}#m1"]
    assert "Two &lt;b&gt;<mark>lanterns</mark>&lt;/b&gt; burn." in page
    assert HIT.findall(ada.get("/search?q=客栈").text) == [f"/chat/{chat_id}#m2"]
    assert "<mark>老铁匠</mark>" in ada.get(f"/search?q=老铁匠&story={chat_id}").text


def test_stories_are_found_by_their_titles(ada, tell):
    chat_id = tell("Ada", "First.")
    page = ada.get("/search?q=TALE").text
    assert f'href="/chat/{chat_id}" data-testid="found-title"' in page
    assert HIT.findall(page) == []


@pytest.mark.parametrize(
    ("query", "sentence"),
    [("dragon", "Nothing with all of these words"), ("?!", "There is no word in this"), ("", "A word, a few words")],
)
def test_what_finds_nothing_says_why(ada, tell, query, sentence):
    tell("Ada", "First.")
    assert sentence in ada.get("/search", params={"q": query}).text if query else ada.get("/search").text


def test_older_hits_come_page_by_page(ada, tell):
    tell("Ada", *(f"lantern {n}" for n in range(65)))
    found, address = [], "/search?q=lantern"
    while address:
        page = ada.get(address).text
        found += HIT.findall(page)
        older = re.search(r'href="([^"]+)" data-testid="older-hits"', page)
        address = older and older[1].replace("&amp;", "&")
    assert [int(one.rsplit("m", 1)[1]) for one in found] == list(range(64, -1, -1))


def test_older_hits_are_offered_where_all_of_the_newest_are_out_of_sight(site, ada, tell):
    chat_id = tell("Ada", *("lantern" for _ in range(500)))
    with site.database.session() as session:
        session.execute(update(Message).where(Message.chat_id == chat_id, Message.ordinal > 0).values(deleted_at=1.0))
    page = ada.get("/search?q=lantern").text
    assert "Nothing with all of these words" not in page
    older = re.search(r'href="([^"]+)" data-testid="older-hits"', page)[1].replace("&amp;", "&")
    assert HIT.findall(ada.get(older).text) == [f"/chat/{chat_id}#m0"]


def test_nobody_finds_or_reads_what_is_somebody_elses(site, ada, tell, make_user):
    make_user("Bob")
    chat_id = tell("Bob", "a lantern", "another lantern")
    assert HIT.findall(ada.get("/search?q=lantern").text) == []
    assert "The tale of Bob" not in ada.get("/search?q=tale").text
    assert ada.get(f"/search?q=lantern&story={chat_id}").status_code == 404
    assert ada.get(f"/chat/{chat_id}/passage?at=0").status_code == 404


@pytest.mark.parametrize(
    "odd", ["before=-5", "before=x", "before=99999999999999999999999", "story=", "q=%00", "q=" + "x" * 3000]
)
def test_odd_addresses_are_answered(ada, tell, odd):
    tell("Ada", "a lantern")
    assert ada.get(f"/search?q=lantern&{odd}").status_code == 200


def test_a_passage_is_what_stands_around_a_message_or_follows_one(ada, tell):
    chat_id = tell("Ada", *(f"line {n}" for n in range(120)))

    def ordinals(what):
        answer = ada.get(f"/chat/{chat_id}/passage?{what}").json()
        messages = [one["ordinal"] for one in answer["messages"]]
        return messages[0], messages[-1], answer.get("earlier"), answer["later"]

    assert ordinals("at=50") == (30, 69, True, True)
    assert ordinals("at=3") == (0, 22, False, True)
    assert ordinals("at=110") == (90, 119, True, False)
    assert ordinals("after=69") == (70, 109, None, True)
    assert ordinals("after=109") == (110, 119, None, False)
    assert ada.get(f"/chat/{chat_id}/passage?after=99999999999999999999").json()["messages"] == []
    assert ada.get(f"/chat/{chat_id}/passage?at=x").status_code == 200
