"""What a person changes by hand on the chat page, by finger and by key, against the real stack that echoes."""

import re
import time

import pytest
from chat_page import ChatPage
from playwright.sync_api import expect

from store import chats, reread_cost
from store.broker import warmup

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

SHOWS = """([texts]) => { const shown = [...document.querySelectorAll('[data-testid=message]')].map((one) =>
  one.querySelector('[data-testid=prose]').textContent.replace(/\\s+/g, ' ').trim());
  return shown.length === texts.length && shown.every((one, at) => one.startsWith(texts[at])) }"""
FOCUSED = "([id]) => document.activeElement?.dataset.testid === id"


ABOUT = r": about [\d,]+ tokens, \d+ (seconds?|minutes?)\.$"


def known_by(redis, chat_id):
    """Wait until a worker has told how fast it reads."""
    deadline = time.monotonic() + 30
    while reread_cost.tokens_per_second(redis, chat_id) is None:
        assert time.monotonic() < deadline, "no worker says how fast it reads"
        time.sleep(0.1)


def menu(chat, number, act):
    """Choose from the menu of a message."""
    chat.more.nth(number).click()
    chat.page.get_by_test_id(f"do-{act}").click()


def chat_id(chat):
    return chat.page.url.rsplit("/", 1)[1]


def owner(chat, books):
    return chats.load_story(books, chat_id(chat)).chat.owner_id


@pytest.fixture
def told(chat):
    """A chat with a question and a reply, on a desktop and on a phone."""
    return chat.told("Who are you?")


def test_a_message_is_edited_in_place(told):
    chat = told
    greeting, mine, reply = (one["words"] for one in chat.messages())
    chat.press("ArrowUp")
    assert chat.edit_text.input_value() == "Who are you?"
    expect(chat.edit_price).to_contain_text("The model will read the last 2 messages again")
    chat.edit_text.fill("Something else")
    chat.page.keyboard.press("Escape")
    assert chat.edit.count() == 0
    chat.until(FOCUSED, "draft")
    assert [one["words"] for one in chat.messages()] == [greeting, mine, reply], "nothing has changed"
    chat.press("ArrowUp")
    chat.edit_text.fill("And *who* is that?")
    chat.page.keyboard.press("Control+Enter")
    chat.until(SHOWS, [greeting, "And who is that?", reply])
    assert chat.edit.count() == 0
    assert chat.prose.nth(1).locator("em").text_content() == "who"
    menu(chat, 2, "edit")
    expect(chat.edit_price).to_contain_text("The model will read the last message again")
    chat.edit_text.fill("Nobody.")
    chat.edit_save.click()
    chat.until(SHOWS, [greeting, "And who is that?", "Nobody."])
    chat.reload()
    assert [one["words"] for one in chat.messages()] == [greeting, "And who is that?", "Nobody."]


def test_what_a_change_costs_is_told_before(sit, stack):
    chat = sit("1280").told("Who are you?")
    with stack.redis() as redis:
        known_by(redis, chat_id(chat))
    chat.more.nth(1).click()
    expect(chat.delete_price).to_have_text(re.compile(r"^The model will read the last message again" + ABOUT))
    chat.do_edit.click()
    expect(chat.edit_price).to_have_text(re.compile(r"^The model will read the last 2 messages again" + ABOUT))
    chat.edit_cancel.click()
    chat.more.nth(2).click()
    chat.do_edit.wait_for()
    expect(chat.delete_price).to_be_hidden()  # nothing comes after it


def test_without_an_answer_messages_are_counted(sit):
    chat = sit("390").told("Who are you?")
    chat.page.route("**/price?*", lambda route: route.fulfill(status=503))
    with chat.page.expect_console_message(lambda message: "503" in message.text):
        menu(chat, 1, "edit")
    expect(chat.edit_price).to_have_text("The model will read the last 2 messages again.")
    chat.errors.clear()  # Chromium has noted the 503 there


def test_an_undo_before_the_snapshot_has_come(told):
    chat = told
    late = []
    chat.page.route_web_socket("**/ws", lambda line: without_snapshots_once_late(line, late))
    chat.reload()
    late.append("from here on")
    menu(chat, 1, "delete")
    chat.undo.click()
    expect(chat.message).to_have_count(3)
    expect(chat.notice).to_be_hidden()


def without_snapshots_once_late(line, late):
    """Pass everything on between page and server; no snapshot any more once `late` holds anything."""
    server = line.connect_to_server()
    server.on_message(lambda frame: None if late and '"type":"opened"' in frame.replace(" ", "") else line.send(frame))


def test_delete_and_undo_and_another_window_sees_both(told, stack):
    chat = told
    words = [one["words"] for one in chat.messages()]
    other = ChatPage(chat.page.context.new_page(), stack.address).open(chat_id(chat))
    menu(chat, 1, "delete")
    for one in (chat, other):
        one.until(SHOWS, [words[0], words[2]])
    chat.until(FOCUSED, "undo")
    chat.page.keyboard.press("Enter")
    for one in (chat, other):
        one.until(SHOWS, words)
    assert chat.toast.is_hidden()
    assert other.errors == []


def test_the_menu_by_key(sit):
    chat = sit("1280").told("Who are you?")
    chat.more.nth(1).focus()
    chat.page.keyboard.press("Enter")
    chat.until(FOCUSED, "do-edit")
    assert chat.more.nth(1).get_attribute("aria-expanded") == "true"
    assert chat.do_why.is_hidden(), "nobody has asked for it"
    chat.page.keyboard.press("End")
    chat.until(FOCUSED, "do-below")
    chat.page.keyboard.press("ArrowDown")
    chat.until(FOCUSED, "do-edit")
    chat.page.keyboard.press("Escape")
    chat.until(FOCUSED, "more")
    assert chat.message_menu.is_hidden()
    chat.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    menu(chat, 1, "copy")
    expect(chat.toast).to_contain_text("Copied.")
    assert chat.page.evaluate("navigator.clipboard.readText()") == "Who are you?"


def test_pins_and_where_the_memory_begins(told, books):
    chat = told
    chat.told("And the storm?")
    assert chat.page.locator("[data-testid=memory]:visible").count() == 0
    menu(chat, 1, "pin")
    chat.pinned.nth(1).wait_for()
    ordinals = [one.ordinal for one in chats.transcript(books, chat_id(chat))]
    warmup.keep_window(books, chat_id(chat), chats.get_revision(books, chat_id(chat)), {"messages": ordinals[3]})
    chat.reload()
    line = chat.page.locator("[data-testid=memory]:visible")
    expect(line).to_have_text("2 earlier messages are out of memory")
    assert line.evaluate("one => one.parentElement.dataset.id") == chats.transcript(books, chat_id(chat))[3].id
    menu(chat, 2, "edit")
    expect(chat.edit_price).to_have_text("Out of the model’s memory: nothing is read again.")
    chat.edit_cancel.click()
    menu(chat, 1, "pin")
    chat.pinned.nth(1).wait_for(state="hidden")
    line.filter(has_text="3 earlier messages are out of memory").wait_for()


def test_branch_and_start_over(told, books):
    chat = told
    first, words = chat.page.url, [one["words"] for one in chat.messages()]
    menu(chat, 1, "branch")
    chat.page.wait_for_url(lambda url: "/chat/" in url and url != first)
    chat.rest()
    chat.until(SHOWS, words[:2])
    second = chat.page.url
    chat.setup_button.click()
    chat.start_over.click()
    chat.over_no.click()
    assert chat.over.is_hidden()
    chat.start_over.click()
    chat.over_yes.click()
    chat.page.wait_for_url(lambda url: "/chat/" in url and url not in (first, second))
    chat.rest()
    chat.until(SHOWS, words[:1])
    for url, kept in ((first, words), (second, words[:2])):
        chat.page.goto(url)
        chat.rest()
        chat.until(SHOWS, kept)


def test_the_setup_is_kept_and_shown_in_another_window(chat, stack, books):
    other = ChatPage(chat.page.context.new_page(), stack.address).open(chat_id(chat))
    chat.setup_button.click()
    chat.setup_name.fill("The lamp and the sea")
    chat.setup_user_persona.fill("A diver from the south.")
    chat.setup_author_note.fill("Rain, always.")
    chat.setup_reference.fill("The key is under the third stone.")
    chat.preset_lively.click()
    chat.advanced.locator("summary").click()
    chat.dial_temperature.fill("1.5")
    chat.setup_why.check()
    chat.until("() => document.querySelector('[data-testid=setup-kept]').textContent === 'Saved'")
    other.until("() => document.querySelector('[data-testid=setup-why]').checked")
    assert chat.preset_lively.get_attribute("aria-pressed") == "false", "it has been turned away from"
    other.setup_button.click()
    assert other.setup_reference.input_value() == "The key is under the third stone."
    expect(other.chat_title).to_have_text("The lamp and the sea")
    other.reference_clear.click()
    chat.until("() => document.querySelector('[data-testid=setup-reference]').value === ''")
    chat.setup_author_note.fill("Rain, and gulls.")
    chat.page.keyboard.press("Escape")  # in the middle of writing: it is kept all the same
    assert chat.setup.is_hidden()
    chat.until(FOCUSED, "setup-button")
    other.until("() => document.querySelector('[data-testid=setup-author-note]').value === 'Rain, and gulls.'")
    kept = chats.get_chat(books, owner(chat, books), chat_id(chat))
    assert (kept.title, kept.user_persona) == ("The lamp and the sea", "A diver from the south.")
    assert (kept.author_note, kept.reference) == ("Rain, and gulls.", "")
    assert kept.settings == {
        "temperature": 1.5,
        "top_p": 1.0,
        "min_p": 0.05,
        "dry_multiplier": 0.8,
        "top_n": 5,
    }
    chat.reload()
    expect(chat.chat_title).to_have_text("The lamp and the sea")
    assert other.errors == []


def test_a_note_written_while_the_line_is_down_is_kept_when_it_is_back(sit, books):
    chat = sit("1280")
    chat.setup_button.click()
    chat.page.context.set_offline(True)
    chat.until("() => document.body.dataset.line === 'down'")
    chat.setup_author_note.fill("Rain.")
    chat.page.keyboard.press("Tab")
    chat.until("() => document.querySelector('[data-testid=setup-kept]').textContent.startsWith('Not saved')")
    chat.page.context.set_offline(False)
    chat.until("() => document.querySelector('[data-testid=setup-kept]').textContent === 'Saved'")
    assert chats.get_chat(books, owner(chat, books), chat_id(chat)).author_note == "Rain."
    assert chat.setup_author_note.input_value() == "Rain."
    chat.errors.clear()  # Chromium's own words about the line


def test_a_refused_edit_stays_in_its_box(sit):
    chat = sit("1280").told("Who are you?")
    chat.page.route_web_socket("**/ws", an_outdated_editor)
    chat.reload()
    chat.press("ArrowUp")
    chat.edit_text.fill("Never mind")
    chat.edit_save.click()
    expect(chat.notice).to_contain_text("changed in another window")
    assert chat.edit_text.input_value() == "Never mind"
    assert chat.edit_save.is_enabled()


def test_a_page_that_has_missed_something_offers_to_reload(sit):
    chat = sit("1280").told("Who are you?")
    chat.page.route_web_socket("**/ws", an_old_page)
    chat.reload()
    menu(chat, 1, "pin")
    chat.page.get_by_test_id("reload").wait_for()
    expect(chat.notice).to_contain_text("moved on")


def an_old_page(socket):
    """A page that has missed something: its commands name an old revision."""
    server = socket.connect_to_server()
    socket.on_message(lambda text: server.send(re.sub(r'"revision":\d+', '"revision":0', text)))


def an_outdated_editor(socket):
    """A page that has missed an edit: its own names the checksum of another text."""
    server = socket.connect_to_server()
    socket.on_message(lambda text: server.send(re.sub(r'"seen":\d+', '"seen":0', text)))


def test_an_editor_that_was_just_opened_stays_open(sit):
    """A snapshot that was asked for before it was opened may come after, and says nothing new."""
    chat, late = sit("390").told("Who are you?"), []
    chat.page.route_web_socket("**/ws", lambda line: with_snapshots_by_hand(line, late))
    chat.reload()
    late.append("from here on")
    menu(chat, 1, "pin")
    chat.pinned.nth(1).wait_for()
    while len(late) == 1:
        chat.page.wait_for_timeout(20)
    chat.press("ArrowUp")
    expect(chat.edit_text).to_have_value("Who are you?")
    chat.page.evaluate("delete document.body.dataset.line")
    late.pop()()
    chat.until("() => document.body.dataset.line === 'up'")
    assert chat.edit.count() == 1
    late.clear()
    chat.edit_text.fill("And who is that?")
    chat.edit_save.click()
    chat.until(SHOWS, [chat.messages()[0]["words"], "And who is that?", chat.last()["words"]])
    assert chat.edit.count() == 0


def with_snapshots_by_hand(line, late):
    """Pass everything on between page and server; once `late` holds anything, what sends a snapshot is put there."""
    server = line.connect_to_server()

    def on_frame(frame):
        if late and '"type":"opened"' in frame.replace(" ", ""):
            late.append(lambda: line.send(frame))
        else:
            line.send(frame)

    server.on_message(on_frame)


def test_why_these_words(chat, books):
    chats.change_chat(books, owner(chat, books), chat_id(chat), settings={"top_n": 5, "temperature": 1.0})
    chat.reload()
    chat.told("Who are you?")
    for _ in range(2):  # once as the stream left it, once as a new page has it
        words = chat.last()["words"]
        menu(chat, 2, "why")
        shown = chat.why.locator(".words")
        expect(shown).to_have_text(words)
        first = shown.locator(".word").first
        chat.until("() => document.activeElement?.className === 'word'")
        assert first.get_attribute("aria-pressed") == "true"
        expect(chat.likely).to_contain_text("%")
        chat.page.keyboard.press("ArrowRight")
        assert shown.locator("[aria-pressed=true]").count() == 1
        assert first.get_attribute("aria-pressed") == "false"
        shown.locator(".word").nth(4).click()
        assert shown.locator(".word").nth(4).get_attribute("aria-pressed") == "true"
        assert chat.likely.locator("[data-chosen]").count() == 1
        chat.page.keyboard.press("Escape")
        assert chat.why.count() == 0
        assert chat.prose.nth(2).is_visible()
        chat.reload()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_on_a_small_phone(sit, scheme):
    chat = sit("390").told("Who are you?")
    chat.page.emulate_media(color_scheme=scheme)
    chat.page.set_viewport_size({"width": 360, "height": 640})
    for number in range(3):
        chat.more.nth(number).click()
        box = chat.message_menu.bounding_box()
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= 360
        assert box["y"] + box["height"] <= 640
        chat.page.keyboard.press("Escape")
    menu(chat, 1, "edit")
    chat.edit_cancel.click()
    chat.setup_button.click()
    for name in ("setup_close", "preset_balanced", "reference_clear", "start_over"):
        box = getattr(chat, name).bounding_box()
        assert box["height"] >= 44, name
        assert box["x"] >= 0, name
        assert box["x"] + box["width"] <= 360, name
    assert chat.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert chat.setup.evaluate("one => one.scrollWidth") <= 360
