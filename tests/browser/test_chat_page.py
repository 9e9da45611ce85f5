"""Every button and every key of the chat page, on a desktop and on a phone, against the real stack that echoes."""

import uuid

import pytest
from chat_page import LONG, VIEWS
from playwright.sync_api import expect

from store import chats, turns
from store.errors import Failure

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

HALF = """([from]) => { const prose = document.querySelector('[data-live] [data-testid=prose]');
  return prose && prose.textContent.length > from && prose.textContent }"""
BOX_FILLS = (
    "() => { const box = document.querySelector('[data-testid=draft]'); return box.value.length > 3 && box.value }"
)
DONE = "([words]) => document.querySelector('[data-testid=draft]').value.length > words.length"

LISTEN = """() => { window.said = []; new MutationObserver(() => {
  for (const one of document.querySelectorAll('[data-testid=stage], [data-testid=doing]'))
    if (window.said.at(-1) !== one.textContent) window.said.push(one.textContent);
}).observe(document.body, { subtree: true, childList: true, characterData: true }) }"""


def test_the_narrator_and_another_wording_of_it(chat):
    chat.told("Hello")
    chat.narrate.click()
    chat.until(HALF, 3)
    live = chat.page.locator("[data-live]")
    assert live.get_attribute("data-role") == "narrator"
    assert chat.announcer.text_content().startswith("Mara"), "nothing is announced before it is finished"
    chat.rest()
    assert chat.roles() == ["character", "user", "character", "narrator"]
    prose = chat.prose.last
    assert prose.evaluate("one => getComputedStyle(one).fontStyle") == "italic"
    assert chat.announcer.text_content().startswith("Narrator: ")
    chat.press("Control+Enter")
    chat.busy()
    chat.rest()
    assert (chat.last()["role"], chat.last()["count"]) == ("narrator", "2/2")
    chat.retry.last.click()
    chat.busy()
    chat.rest()
    assert chat.last()["count"] == "3/3"


def test_nothing_is_sent_before_the_page_can_send(chat):
    """The browser by itself would load the page anew, without what was typed."""
    held = []
    chat.page.route("**/js/chat/controller.js", lambda route: held.append(route))
    chat.page.reload(wait_until="commit")
    chat.draft.fill("Early words.")
    expect(chat.send).to_be_disabled()
    held[0].continue_()
    chat.send.click()
    chat.busy()
    chat.rest()
    assert chat.messages()[1]["words"] == "Early words."


def test_the_story_goes_on_in_place(chat):
    chat.told()
    ways = (lambda: chat.page.get_by_test_id("continue").click(), lambda: chat.press("Alt+Enter"), chat.send.click)
    for go_on in ways:
        before = chat.last()["words"]
        assert chat.send.get_attribute("aria-label") == "Continue the story"
        go_on()
        grown = chat.until(HALF, len(before) + 3)
        assert grown.startswith(before), "what was there stays while it grows"
        chat.rest()
        assert chat.roles() == ["character", "user", "character"]
        assert chat.last()["words"].startswith(before)
        assert len(chat.last()["words"]) > len(before)
        assert chat.swipes.last.is_hidden(), "it is the same alternative, only longer"


def test_a_suggestion_streams_into_the_box_and_is_mine_then(chat):
    chat.told("Hello")
    chat.suggest.click()
    half = chat.until(BOX_FILLS)
    assert chat.doing.text_content() == "Your next line: writing"
    chat.rest()
    whole = chat.draft.input_value()
    assert whole.startswith(half)
    assert chat.doing.is_hidden()
    assert chat.roles() == ["character", "user", "character"], "a suggestion leaves no message"
    chat.draft.fill(f"{whole[:12]} or so")
    chat.reload()
    assert chat.draft.input_value() == f"{whole[:12]} or so"
    assert chat.offer.is_hidden()
    chat.send.click()
    chat.busy()
    chat.rest()
    assert chat.messages()[-2]["words"] == f"{whole[:12]} or so"


def test_a_suggestion_never_takes_the_place_of_my_words(chat):
    chat.told("Hello")
    chat.suggest.click()
    chat.until(BOX_FILLS)
    chat.draft.press_sequentially(" No!")
    chat.rest()
    mine = chat.draft.input_value()
    assert mine.endswith(" No!")
    offered = chat.offer_words.text_content()
    assert len(offered) > 10
    assert mine.removesuffix(" No!") == offered[: len(mine) - 4], "what had come until then is mine"
    chat.offer_use.click()
    assert chat.draft.input_value() == offered
    assert chat.offer_words.text_content() == mine
    chat.offer_use.click()
    assert chat.draft.input_value() == mine
    chat.offer_dismiss.click()
    chat.reload()
    assert chat.offer.is_hidden()
    assert chat.draft.input_value() == mine


def test_a_suggestion_comes_back_after_a_reload_in_the_middle(chat):
    chat.told("Hello")
    chat.suggest.click()
    half = chat.until(BOX_FILLS)
    chat.reload()
    assert chat.draft.input_value().startswith(half)


def test_the_status_of_the_chat_and_of_a_message(chat):
    assert chat.status_button.is_hidden()
    chat.status.click()
    chat.busy()
    assert chat.doing.text_content().startswith("The status: ") or chat.status_card.is_visible()
    chat.rest()
    assert chat.status_card.is_visible(), "who asks for the status wants to see it"
    fields = chat.status_fields.inner_text().split("\n")
    assert {"Mood", "calm"} <= set(fields)
    assert "calm" in chat.status_button.text_content()
    chat.status_close.click()
    assert chat.status_card.is_hidden()
    chat.reload()
    assert chat.status_card.is_hidden()
    chat.status_button.click()
    assert chat.status_card.is_visible()
    if chat.page.viewport_size["width"] < 1216:
        chat.draft.click()
        assert chat.status_card.is_hidden(), "on a phone it lies over the story, and goes when I go on"
    chat.told("Hello")
    own = chat.message_status.first
    assert own.is_hidden()
    chat.show_status.first.click()
    assert "calm" in own.inner_text()


def test_what_comes_after_each_message_of_mine(chat):
    chat.after.click()
    for kind in ("narrate", "status", "suggest"):
        chat.page.get_by_test_id(f"then-{kind}").check()
    chat.page.keyboard.press("Escape")
    assert chat.after_menu.is_hidden()
    chat.reload()
    assert chat.after.get_attribute("aria-label") == "Automatically, after my message: narrate, status, suggest"
    chat.told("Hello")
    assert chat.roles() == ["character", "user", "character", "narrator"]
    assert chat.status_button.is_visible()
    assert len(chat.draft.input_value()) > 10
    shown = chat.messages()
    chat.reload()
    assert chat.messages() == shown, "all of it was kept"


def test_stop_works_for_every_kind(chat):
    chat.told()
    for kind, more in (("retry", 0), ("continue", 0), ("narrate", 1), ("chat", 2), ("status", 0), ("suggest", 0)):
        before = chat.messages()
        start(chat, kind, len(before[-1]["words"]))
        if chat.page.viewport_size["width"] < 500:
            chat.send.click()
        else:
            chat.press("Escape")
        chat.rest()
        assert len(chat.messages()) - len(before) == more, kind
    shown = chat.messages()
    assert chat.draft.input_value(), "what was suggested until then is in the box"
    chat.reload()
    assert chat.messages() == shown, "what was written until then is kept"


def start(chat, kind, n_letters):
    """Begin a turn and wait for its first words."""
    if kind == "chat":
        chat.say(LONG)
    elif kind == "retry":
        chat.retry.last.click()
    else:
        chat.page.get_by_test_id(kind).click()
    if kind == "suggest":
        chat.until(BOX_FILLS)
    elif kind == "status":
        chat.busy()
    else:
        chat.until(HALF, n_letters + 2 if kind == "continue" else 2)


def test_what_failed_can_be_tried_again(chat, books):
    chat_id = chat.page.url.rsplit("/", 1)[1]
    owner = chats.load_story(books, chat_id).chat.owner_id
    command = turns.TurnCommand(uuid.uuid4().hex, chat_id, "narrate", chats.get_revision(books, chat_id))
    turns.begin_turn(books, owner, command)
    claim = turns.claim(books, command.id, "nobody", 30)
    turns.fail(books, command.id, claim.attempt, Failure("worker_lost", {"message": "The card stopped."}))
    chat.reload()
    assert "The card stopped." in chat.failure.text_content()
    chat.failure_retry.click()
    chat.busy()
    chat.rest()
    assert chat.failure.is_hidden()
    assert chat.roles() == ["character", "narrator"]


def test_left_and_right_with_an_empty_box(chat):
    chat.press("ArrowRight")
    chat.until("() => document.querySelector('[data-testid=count]').textContent === '2/3'")
    chat.press("ArrowLeft")
    chat.until("() => document.querySelector('[data-testid=count]').textContent === '1/3'")
    chat.told("Hello")
    first = chat.last()["words"]
    chat.press("ArrowRight")
    chat.busy()
    chat.rest()
    assert chat.last()["count"] == "2/2"
    chat.press("ArrowLeft")
    chat.until("() => [...document.querySelectorAll('[data-testid=count]')].at(-1).textContent === '1/2'")
    assert chat.last()["words"] == first
    chat.next.last.click()
    chat.until("() => [...document.querySelectorAll('[data-testid=count]')].at(-1).textContent === '2/2'")
    chat.next.last.click()
    chat.busy()
    chat.rest()
    assert chat.last()["count"] == "3/3", "beyond the newest alternative there is a new one"
    chat.draft.fill("x")
    chat.press("ArrowLeft", "ArrowRight")
    assert chat.last()["count"] == "3/3"


def test_enter_sends_where_there_is_a_keyboard(chat):
    desktop = chat.page.viewport_size["width"] > 500
    chat.draft.fill("one")
    chat.press("Shift+Enter" if desktop else "Enter")
    chat.page.keyboard.type("two")
    assert chat.draft.input_value() == "one\ntwo"
    if desktop:
        chat.press("Enter")
    else:
        chat.send.click()
    chat.busy()
    chat.rest()
    assert chat.roles() == ["character", "user", "character"]


def test_the_place_in_line_is_said(sit):
    first, second, third = sit("1280"), sit("390", 1), sit("1280", 2)
    first.after.click()
    for kind in ("narrate", "status", "suggest"):
        first.page.get_by_test_id(f"then-{kind}").check()
    for one in (first, second, third):
        one.draft.fill(LONG)
        one.page.evaluate(LISTEN)
    first.send.click()
    first.until(HALF, 1)
    second.send.click()
    second.busy()
    third.suggest.click()
    for one in (second, third):
        one.busy()
        one.rest()
    said = [" ".join(one.page.evaluate("window.said")) for one in (second, third)]
    assert "next in line" in said[0]
    assert "Your next line: 1 person ahead" in said[1]
    assert "Your next line: next in line" in said[1], "the place is said again as soon as the queue has moved"
    assert all("writing" in words for words in said)


def test_a_refused_message_stays_in_the_box(chat):
    chat.page.route_web_socket("**/ws", tamper)
    chat.page.reload()
    chat.rest()
    chat.say("This comes too late.")
    chat.page.get_by_test_id("reload").wait_for()
    assert "moved on" in chat.notice.text_content()
    assert chat.draft.input_value() == "This comes too late."
    chat.page.get_by_test_id("reload").click()
    chat.page.get_by_test_id("reload").wait_for(state="hidden")
    assert chat.draft.input_value() == "This comes too late."
    assert chat.roles() == ["character"]


def tamper(socket):
    """A page that has missed something: its commands name an old revision."""
    server = socket.connect_to_server()
    socket.on_message(lambda text: server.send(text.replace('"revision":1', '"revision":0')))


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_jumps_and_nothing_sticks_out(sit, width):
    chat = sit("1280" if width > 500 else "390")
    chat.page.set_viewport_size({"width": width, "height": 740})
    boxes = [chat.composer.bounding_box()]
    for kind in ("narrate", "status", "suggest"):
        chat.page.get_by_test_id(kind).click()
        chat.busy()
        if kind != "suggest":
            boxes.append(chat.composer.bounding_box())
        chat.rest()
        assert chat.page.evaluate("document.documentElement.scrollWidth") <= width
        if kind != "suggest":
            boxes.append(chat.composer.bounding_box())
    assert all(box == boxes[0] for box in boxes), boxes
    for name in ("continue", "narrate", "suggest", "status", "after", "send", "status_button"):
        box = chat.page.get_by_test_id(name.replace("_", "-")).bounding_box()
        assert box["height"] >= 44
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_only_finished_messages_are_announced(sit):
    chat = sit("1280")
    polite = chat.page.evaluate("[...document.querySelectorAll('[aria-live=polite]')].map((one) => one.id)")
    assert polite == ["announcer"]
    chat.say(LONG)
    chat.until(HALF, 3)
    assert chat.announcer.text_content() == ""
    chat.rest()
    assert chat.announcer.text_content().startswith("Mara Quill: ")


def test_the_first_visit_is_light(browser, people, stack):
    page = browser.new_context(**VIEWS["390"], storage_state=people("new")[1]).new_page()  # has no stories yet
    sizes = {}
    page.on("requestfinished", lambda one: sizes.update({one.url: one.sizes()["responseBodySize"]}))
    page.goto(stack.address)
    page.get_by_test_id("begin").first.click()
    page.locator("body[data-line=up]").wait_for(state="attached")
    page.wait_for_load_state("networkidle")
    page.context.close()
    assert sum(sizes.values()) < 150_000, sizes
