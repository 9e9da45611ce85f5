"""Numbers from outside: each is bounded where it comes in, so that none fails further on, in arithmetic or in SQL."""

import json

import pytest

from store import bounded_json, chat_files, chats, message_pages
from store.bounded_json import JsonError
from store.cards import files
from store.cards.card_json import read_json
from store.cards.errors import CardError
from store.errors import Refused
from store.lore import edit
from store.lore.book import read_book

HUGE = [2**31, 2**63, 2**70, 10**250, 10**308, 10**400, -(2**70), -(10**400)]


@pytest.mark.parametrize("number", HUGE)
def test_the_messages_before_any_number(database, user, chat, number):
    page = message_pages.before(database, chat.id, number, 60)
    assert len(page.messages) == (1 if number > 0 else 0)


def test_a_whole_number_fits_into_a_float():
    limits = bounded_json.JsonLimits(10_000, 9, 99, finite_only=True)
    assert bounded_json.parse(b"[1" + b"0" * 299 + b"]", limits) == [10**299]
    with pytest.raises(JsonError) as refused:
        bounded_json.parse(b"[1" + b"0" * 300 + b"]", limits)
    assert refused.value.code == "bad_number"


@pytest.mark.parametrize("number", HUGE)
@pytest.mark.parametrize("key", ["send_date", "swipe_id", "gen_started"])
def test_numbers_of_a_chat_file(number, key):
    header = {"user_name": "Ada", "character_name": "Mara", "create_date": number}
    lines = [header, {"name": "Mara", "mes": "Hi.", "swipes": ["Hi."], key: number}, {"name": "Ada", "mes": "Ho."}]
    found = chat_files.read("\n".join(map(json.dumps, lines)).encode(), now=5.0)
    assert all(0 <= one.created_at <= 250_000_000_000 for one in found.document.messages)


@pytest.mark.parametrize("number", [one for one in HUGE if abs(one) > 2**53])
def test_numbers_of_a_native_chat_file(number):
    wording = {"text": "Hi.", "created_at": 1.0, "status": [{"name": "Coins", "value": number}]}
    message = {"role": "character", "name": "Mara", "created_at": 1.0, "wordings": [wording]}
    file = {"format": "inglenook chat", "version": 1, "title": "T", "character_name": "Mara", "user_name": "Ada",
            "created_at": 1.0, "messages": [message]}  # fmt: skip
    data = json.dumps(file).encode()
    with pytest.raises(Refused) as refused:
        chat_files.read(data, now=5.0)
    assert refused.value.reason == "chat_damaged"


@pytest.mark.parametrize("number", HUGE)
def test_numbers_of_a_card_and_its_lorebook(number):
    entry = {"keys": ["a"], "content": "b", "scan_depth": number, "sticky": number, "insertion_order": number}
    extensions = {"depth_prompt": {"prompt": "x", "depth": number}}
    card = {"name": number, "description": "x", "character_book": {"entries": [entry]}, "extensions": extensions}
    data = json.dumps(card).encode()
    if abs(number) >= 10**300:
        with pytest.raises(CardError) as refused:
            files.read_card(data, "mo.json")
        assert refused.value.code == "bad_number"
    else:
        assert len(read_book(files.read_card(data, "mo.json").card["character_book"]).entries) == 1


def test_an_infinite_number_in_a_lorebook_is_refused():
    """It was kept as Infinity, which is no JSON: PostgreSQL refuses it."""
    with pytest.raises(CardError) as refused:
        read_json(b'{"entries": [{"keys": [], "order": 1e999}]}')
    assert refused.value.code == "bad_number"


@pytest.mark.parametrize("place", ["9" * 5000, "9" * 100, "٣", "-1", ""])
def test_a_new_entry_beside_odd_places(place):
    book = edit.changed({"entries": {place: {"key": ["a"], "content": "b"}}}, None, edit.EntryDraft(name="new"))
    assert set(book["entries"]) == {place, "0"}


@pytest.mark.parametrize("number", HUGE)
def test_a_setting_of_a_story(database, user, chat, number):
    with pytest.raises(Refused) as refused:
        chats.change_chat(database, user.id, chat.id, settings={"temperature": number})
    assert refused.value.code == "bad_setting"
