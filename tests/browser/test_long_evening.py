"""A long evening by hand, at a desk and on a phone: what goes wrong in months of use and is not met in five minutes.

One story after the other in one window: what is pressed while a reply is on its way, words that grew, a direction for
the narrator, alternatives under the finger, two windows on one message, the way up a long story and down again, an
ending that is thrown away, and a wrong password.
"""

import pytest
from chat_page import VIEWS, ChatPage
from playwright.sync_api import expect

from store import characters, chat_transfer, chats
from store.accounts import get_user
from store.chat_files.document import ChatDocument, DocAlternative, DocMessage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

N = 150
COLOUR = "one => getComputedStyle(one).backgroundColor"
NEAR_END = (
    "() => { const m = document.getElementById('main'); return m.scrollHeight - m.scrollTop - m.clientHeight < 4 }"
)
SHOWN = "([n]) => document.querySelectorAll('[data-testid=message]').length === n"
COUNT = "([text]) => [...document.querySelectorAll('[data-testid=count]')].at(-1).textContent === text"


@pytest.fixture
def long_story(books, people):
    """A story of 150 messages, of the person with number 0; its id."""
    owner = people(0)[0]
    said = tuple(
        DocMessage(
            ("character", "user")[n % 2], ("Mara", "Ada")[n % 2], (DocAlternative(f"Line {n}.", 1.0 + n),), 1.0 + n
        )
        for n in range(N)
    )
    character = characters.list_characters(books, get_user(books, owner))[0]
    return chat_transfer.import_chat(books, owner, character.id, ChatDocument("Long", "Ada", said, 1.0)).id


@pytest.fixture(params=VIEWS)
def window(request, sit):
    chat = sit(request.param)
    chat.view = request.param
    return chat


def swipe(chat, element, dx):
    """A finger on an element, moved sideways."""
    box = element.bounding_box()
    line = chat.page.context.new_cdp_session(chat.page)
    x, y = box["x"] + box["width"] / 2, box["y"] + min(20, box["height"] / 2)
    points = [(x + dx * step / 4, y) for step in range(5)]
    for kind, (at_x, at_y) in zip(["touchStart", *["touchMove"] * 4], points, strict=True):
        line.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": at_x, "y": at_y}]})
    line.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    line.detach()


def test_a_long_evening(window, books, long_story):
    while_a_reply_is_on_its_way(window)
    words_that_grew(window, books)
    a_direction_for_the_narrator(window)
    if window.view == "390":
        alternatives_under_the_finger(window)
    two_windows_on_one_message(window)
    up_and_down_again(window, long_story)
    an_ending_is_thrown_away(window)
    a_wrong_password(window)


def while_a_reply_is_on_its_way(chat):
    """A tool that cannot be pressed now stays readable under the pointer; Enter says that a reply is on its way."""
    chat.say("Tell me about the light. " * 8)
    chat.busy()
    narrate = chat.page.get_by_test_id("narrate")
    assert narrate.is_disabled()
    narrate.hover(force=True)
    assert narrate.evaluate(COLOUR) == "rgba(0, 0, 0, 0)"
    if chat.view == "1280":
        chat.draft.fill("My next words")
        chat.press("Enter")
        expect(chat.notice).to_contain_text("A reply is still on its way")
        assert chat.draft.input_value() == "My next words"
        chat.rest()
        expect(chat.notice).to_be_hidden()
        chat.draft.fill("")
    chat.rest()


def words_that_grew(chat, books):
    """The probabilities of what stood before a Continue are there, or it is shown that they are not known."""
    owner = chats.load_story(books, chat.page.url.rsplit("/", 1)[1]).chat.owner_id
    before = chat.last()["words"]
    chats.change_chat(books, owner, chat.page.url.rsplit("/", 1)[1], settings={"top_n": 3})
    chat.reload()
    chat.page.get_by_test_id("continue").click()
    chat.busy()
    chat.rest()
    chat.more.last.click()
    chat.do_why.click()
    shown = " ".join(chat.why.locator(".words").inner_text().split())
    assert shown == chat.last()["words"]
    assert shown.startswith(before)
    chat.why.locator(".word").first.click()
    expect(chat.likely).to_have_text("No probabilities were kept for these words.")
    chat.why_close.click()


def a_direction_for_the_narrator(chat):
    chat.draft.fill("A storm comes up.")
    chat.page.get_by_test_id("narrate").click()
    chat.busy()
    assert chat.draft.input_value() == ""
    chat.rest()
    assert chat.last()["role"] == "narrator"


def alternatives_under_the_finger(chat):
    """To the left is the next one, behind the last a new one; to the right goes back; a short way is none."""
    swipe(chat, chat.prose.last, -40)
    swipe(chat, chat.prose.last, -120)
    chat.busy()
    chat.rest()
    chat.until(COUNT, "2/2")
    swipe(chat, chat.prose.last, 120)
    chat.until(COUNT, "1/2")
    swipe(chat, chat.prose.last, -120)
    chat.until(COUNT, "2/2")


def two_windows_on_one_message(chat):
    """The one that saves last sees what the other has saved, and chooses."""
    other = ChatPage(chat.page.context.new_page(), chat.address).open(chat.page.url.rsplit("/", 1)[1])
    for window in (chat, other):
        window.more.nth(1).click()
        window.do_edit.click()
    other.edit_text.fill("By the other window")
    other.edit_save.click()
    expect(other.edit).to_have_count(0)
    expect(chat.edit_other_words).to_have_text("By the other window")
    expect(chat.edit_save).to_have_text("Save mine instead")
    expect(chat.edit_save).to_be_in_viewport()
    expect(chat.newest).to_be_hidden()
    chat.edit_text.fill("By this window")
    chat.edit_save.click()
    expect(chat.edit).to_have_count(0)
    expect(other.prose.nth(1)).to_have_text("By this window")
    chat.more.nth(1).click()
    chat.do_edit.click()
    chat.edit_text.fill("Words that I was writing")
    other.more.nth(1).click()
    other.do_delete.click()
    expect(chat.draft).to_have_value("Words that I was writing")
    expect(chat.notice).to_contain_text("was deleted in another window")
    chat.draft.fill("")
    assert other.errors == []
    other.page.close()


def up_and_down_again(chat, story):
    """Earlier messages come by scrolling; a button leads back to the end, also when nothing new is there."""
    chat.open(story)
    chat.until(SHOWN, 60)
    expect(chat.newest).to_be_hidden()
    chat.page.evaluate("document.getElementById('main').scrollTop = 300")
    chat.until(SHOWN, 120)
    assert chat.prose.nth(60).is_visible(), "what was being read has not moved away"
    chat.scroll_to_the_beginning()
    chat.until(SHOWN, N)
    expect(chat.earlier).to_be_hidden()
    expect(chat.newest).to_be_visible()
    chat.newest.click()
    chat.until(NEAR_END)
    expect(chat.newest).to_be_hidden()


def an_ending_is_thrown_away(chat):
    chat.more.nth(N - 4).click()
    chat.do_below.click()
    chat.until("() => [...document.querySelectorAll('[data-testid=prose]')].at(-1).textContent.trim() === 'Line 146.'")
    expect(chat.toast).to_contain_text("Everything below is deleted.")
    chat.undo.click()
    chat.until("() => [...document.querySelectorAll('[data-testid=prose]')].at(-1).textContent.trim() === 'Line 149.'")
    chat.more.last.click()
    expect(chat.do_below).to_be_hidden()
    chat.page.keyboard.press("Escape")


def a_wrong_password(chat):
    """What is wrong is in sight, and the address may be loaded again."""
    chat.page.goto(f"{chat.address}/settings")
    chat.old_password.fill("not mine at all")
    chat.new_password.fill("a new and long password")
    chat.change_password.click()
    error = chat.page.get_by_test_id("old-password-error")
    expect(error).to_be_in_viewport()
    expect(error).to_have_text("This is not your password.")
    assert chat.page.reload().status == 200
    expect(error).to_have_count(0)
