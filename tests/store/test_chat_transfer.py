"""Whole chats in and out of the database."""

import pytest
from chat_file_cases import HEADER, LINES, jsonl_of, tales
from hypothesis import HealthCheck, given, settings

from store import accounts, chat_files, chats, edits, message_pages
from store import chat_transfer as whole_chats
from store.bundled import character_id
from store.chat_files import jsonl, native
from store.errors import NotFound
from store.import_findings import Finding
from store.turns import TurnCommand, begin_turn
from tests.harness.soak import n_examples

STORY = jsonl_of(HEADER, *LINES)


def bring(database, user, data=STORY, now=9e8):
    found = chat_files.read(data, now)
    return whole_chats.import_chat(database, user.id, character_id("mara"), found.document, found.findings, now=now)


@settings(deadline=None, max_examples=n_examples(15, 300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=tales())
def test_out_and_in_and_out_again_is_the_same(database, user, document):
    def again(made):
        chat = whole_chats.import_chat(database, user.id, character_id("mara"), made)
        return whole_chats.export_chat(database, user.id, chat.id)

    first = again(document)
    assert [one.texts for one in first.messages] == [one.texts for one in document.messages]
    assert [one.alternatives for one in first.messages] == [one.alternatives for one in document.messages]
    assert (first.lore, first.settings, first.author_note) == (document.lore, document.settings, document.author_note)
    second = again(chat_files.read(native.write(first), 5.0).document)
    assert second == first
    assert jsonl.write(second) == jsonl.write(first)


def test_what_was_told_stays_with_the_chat_and_out_of_its_file(database, user):
    chat = bring(database, user)
    told = whole_chats.import_report(database, user.id, chat.id)
    assert Finding("applied", "", "chat_messages", {"n": 5}) in told
    assert b"chat_messages" not in native.write(whole_chats.export_chat(database, user.id, chat.id))
    plain = chats.create_chat(database, user.id, character_id("mara"), "Ada")
    assert whole_chats.import_report(database, user.id, plain.id) == ()


def test_what_cannot_be_taken_as_it_was_is_told(database, user):
    data = native.write(
        chat_files.read(jsonl_of(HEADER | {"user_name": "x" * 50, "character_name": "Zoltan"}, *LINES), 1.0).document
    )
    data = data.replace(b'"settings": {}', b'"settings": {"temperature": 99}').replace(
        b'"lore": {}', b'"lore": {"a": 1}'
    )
    chat = bring(database, user, data)
    told = {one.reason for one in whole_chats.import_report(database, user.id, chat.id)}
    assert {"chat_user", "chat_character", "chat_settings", "chat_lore"} <= told
    assert (chat.user_name, chat.settings) == (user.name, {})


def test_strangers_get_nothing(database, user, make_user):
    chat, other = bring(database, user), make_user("Eve", "child")
    with pytest.raises(NotFound):
        whole_chats.export_chat(database, other.id, chat.id)
    with pytest.raises(NotFound):
        whole_chats.import_report(database, other.id, chat.id)
    found = chat_files.read(STORY, 1.0)
    with pytest.raises(NotFound):
        whole_chats.import_chat(database, other.id, "f" * 32, found.document)
    assert chats.list_chats(database, other.id) == ()


def test_a_brought_chat_is_a_chat_like_others(database, user):
    chat = bring(database, user)
    messages = chats.transcript(database, chat.id)
    edited = edits.edit_message(database, user.id, messages[1].id, "Hi, you.", 1)
    turn = begin_turn(database, user.id, TurnCommand("b" * 32, chat.id, "retry", edited.revision)).turn
    assert turn.reply_message_id == messages[-1].id
    copy = edits.branch(database, user.id, messages[1].id)
    out = jsonl.write(whole_chats.export_chat(database, user.id, copy.id)).split(b"\n")
    assert b"ada.png" in out[2]
    assert b"Hi, you." in out[2]
    assert b"Press" in out[3], "the remark behind it came along"


def test_pages_of_a_long_chat(database, user):
    lines = [{"mes": str(n), "is_user": n % 2 == 0} for n in range(300)]
    chat = bring(database, user, jsonl_of(HEADER, *lines))
    page = message_pages.newest(database, chat.id, 60)
    assert ([one.text for one in page.messages], page.more) == ([str(n) for n in range(240, 300)], True)
    edits.delete_message(database, user.id, chats.transcript(database, chat.id)[100].id, 1)
    page = message_pages.before(database, chat.id, 102, 3)
    assert ([one.text for one in page.messages], page.more) == (["98", "99", "101"], True)
    assert not message_pages.newest(database, chat.id, 1_000).more
    assert not message_pages.newest(database, chat.id, 299).more, "one of 300 is deleted"
    assert message_pages.newest(database, chat.id, 298).more
    assert (message_pages.n_forgotten(database, chat.id, 0), message_pages.n_forgotten(database, chat.id, 150)) == (
        0,
        149,
    )
    edits.pin_message(database, user.id, chats.transcript(database, chat.id)[3].id, True, 2)
    assert message_pages.n_forgotten(database, chat.id, 150) == 148


def test_an_account_that_goes_takes_its_stories_along(database, user):
    bring(database, user)
    accounts.sign_up(database, accounts.create_invite(database, "admin")[1], "Boss", "hash")
    accounts.delete_account(database, user.id)
