"""Notes of a story in the browser: they appear, are corrected, pinned, deleted and taken back; what the story knows."""

import pytest
from playwright.sync_api import expect

from store import chats, edits
from store.broker import events
from store.memory.recording import NewNote, record_note
from store.models import Alternative, Message

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

TEXT = "Earlier, Ada told Mara of a brass key that lies under the old stove."
BETTER = "Earlier, Ada told Mara of two brass keys."


def chat_of(window):
    return window.page.url.rsplit("/", 1)[1].split("#")[0]


@pytest.fixture
def noted(stack, books, chat):
    """A chat of three exchanges, of which the first has left the memory; a note on it has just been written."""
    for number in range(3):
        chat.told(f"Number {number}: the key lies under the stove.")
    chat_id = chat_of(chat)
    told = chats.transcript(books, chat_id)
    new = NewNote(TEXT, (1, 2), "another model", 0, told[2].ordinal, told[-1].ordinal)
    window = {"examples": 0, "messages": told[3].ordinal}
    assert record_note(books, chat_id, chats.get_revision(books, chat_id), window, new)
    with stack.redis() as redis:
        events.publish_unnumbered(redis, chat_id, {"type": "memory", "chat": chat_id, "notes": True})
    return chat


def test_a_note_appears_is_corrected_pinned_deleted_and_taken_back(noted, books):
    page = noted.page
    card = page.locator("#messages").get_by_test_id("note")
    expect(card).to_have_count(1)
    expect(card.get_by_test_id("note-text")).to_be_hidden()
    card.locator("summary").click()
    expect(card.get_by_test_id("note-text")).to_have_text(TEXT)
    card.get_by_test_id("note-edit").click()
    card.get_by_test_id("note-box").fill(BETTER)
    card.get_by_test_id("note-save").click()
    expect(card.get_by_test_id("note-text")).to_have_text(BETTER)
    assert chats.load_story(books, chat_of(noted)).notes[0].text == BETTER
    card.get_by_test_id("note-pin").click()
    expect(card.locator(".held")).to_be_visible()
    card.get_by_test_id("note-delete").click()
    expect(card).to_have_count(0)
    page.get_by_test_id("undo").click()
    expect(card).to_have_count(1)
    noted.told("And the story goes on.")
    expect(card).to_have_count(1)


def test_a_note_is_stale_when_its_message_changes_and_is_known_in_the_panel(noted, books):
    page = noted.page
    chat = chats.load_story(books, chat_of(noted)).chat
    told = chats.transcript(books, chat.id)
    revision = edits.edit_message(books, chat.owner_id, told[1].id, "Two keys.", chat.revision).revision
    edits.pin_message(books, chat.owner_id, told[2].id, True, revision)
    with books.session() as session:
        last = session.get_one(Message, told[-1].id)
        reply = session.query(Alternative).filter_by(message_id=last.id, position=last.active).one()
        recalled = [{"message": told[1].id, "ordinal": told[1].ordinal, "name": "Ada", "excerpt": "the key"}]
        reply.stats = {**reply.stats, "recalled": recalled}
    noted.open(chat.id)
    page.get_by_test_id("memory").get_by_role("button").click()
    knows = page.get_by_test_id("knows")
    expect(knows.get_by_test_id("note-stale")).to_be_visible()
    expect(knows.get_by_test_id("knows-pinned").locator("li")).to_have_count(1)
    knows.get_by_test_id("switch-recall").uncheck()
    knows.get_by_test_id("knows-recalled").locator("a").first.click()
    expect(knows).to_be_hidden()
    expect(page.locator(f'[data-id="{told[1].id}"]')).to_be_in_viewport()
    expect(page.get_by_test_id("recalled-link")).to_have_count(1)
    assert chats.load_story(books, chat_of(noted)).chat.memory == {"notes": True, "recall": False}
