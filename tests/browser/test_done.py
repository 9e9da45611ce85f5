"""A reply is there: the notification and the sound, real ones, for who has asked for them.

Chromium gives the permission and shows the notification; the page's own classes only note which were made. Every tab
that a driver holds counts as visible, so a test says itself when one is out of sight.
"""

import pytest
from playwright.sync_api import expect

from store import accounts

pytestmark = pytest.mark.browser

# Notes what is shown and what is heard, beside doing it.
NOTE = """window.shown = []; window.heard = [];
  window.Notification = class extends Notification { constructor(title, options) { super(title, options);
    this.addEventListener('show', () => shown.push([title, options.body])); } };
  window.OscillatorNode = class extends OscillatorNode { constructor(context, options) { super(context, options);
    this.addEventListener('ended', () => heard.push(options.frequency)); } };"""
OUT_OF_SIGHT = """(away) => { Object.defineProperty(document, 'hidden', { value: away, configurable: true });
  document.dispatchEvent(new Event('visibilitychange')); }"""


@pytest.fixture
def told(sit, books):
    """`told(notify=True)`: a chat of somebody who has asked for this."""
    opened = []

    def begin(permission=True, **wishes):
        chat = sit("1280", number=7)
        opened.append(chat)
        person = accounts.find_user(books, "Ada 7")
        accounts.set_preferences(books, person.id, **wishes)
        if permission:
            chat.page.context.grant_permissions(["notifications"], origin=chat.address)
        chat.page.add_init_script(NOTE)
        chat.reload()
        return chat

    yield begin
    accounts.set_preferences(books, accounts.find_user(books, "Ada 7").id, notify=False, sound=False)


def count(chat, what):
    return chat.page.evaluate(f"{what}.length")


def test_a_hidden_page_notifies_and_a_visible_one_does_not(told):
    chat = told(notify=True)
    chat.told("Are you there?")
    chat.page.evaluate(OUT_OF_SIGHT, True)
    chat.told("And now?")
    chat.until("() => shown.length === 1")
    assert chat.page.evaluate("shown") == [["Mara Quill", "A new reply is there."]]
    chat.page.evaluate(OUT_OF_SIGHT, False)
    chat.told("And here?")
    assert count(chat, "shown") == 1
    assert count(chat, "heard") == 0


@pytest.mark.parametrize(("permission", "notify"), [(True, False), (False, True)])
def test_who_has_not_asked_or_not_allowed_it_is_left_in_peace(told, permission, notify):
    chat = told(permission=permission, notify=notify, sound=False)
    chat.page.evaluate(OUT_OF_SIGHT, True)
    chat.told("Are you there?")
    assert (count(chat, "shown"), count(chat, "heard")) == (0, 0)


def test_two_soft_notes(told):
    chat = told(sound=True)
    chat.told("Are you there?")
    chat.until("() => heard.length === 2")
    assert chat.page.evaluate("heard") == [587.33, 880]
    assert count(chat, "shown") == 0


def test_the_switches(told, books, stack):
    chat = told(permission=False)
    page = chat.page
    page.goto(f"{stack.address}/settings")
    page.get_by_test_id("notify").click()  # headless, Chromium refuses whatever nobody has granted
    expect(page.get_by_test_id("notify-hint")).to_have_text("This browser does not let this page notify you.")
    expect(page.get_by_test_id("notify")).not_to_be_checked()
    page.context.grant_permissions(["notifications"], origin=stack.address)
    page.get_by_test_id("notify").press("Space")
    expect(page.get_by_test_id("notify-hint")).to_be_empty()
    expect(page.get_by_test_id("notify")).to_be_checked()
    page.get_by_test_id("sound").check()
    chat.until("() => heard.length === 2")
    page.get_by_test_id("save-done").click()
    expect(page.locator("[data-testid=said][data-code=done]")).to_be_visible()
    kept = accounts.find_user(books, "Ada 7")
    assert (kept.notify, kept.sound) == (True, True)
    page.context.clear_permissions()
    page.goto(f"{stack.address}/settings")
    expect(page.get_by_test_id("notify-hint")).to_contain_text("Not allowed in this browser yet")
    page.get_by_test_id("notify").uncheck()
    expect(page.get_by_test_id("notify-hint")).to_be_empty()
    page.get_by_test_id("save-done").click()
    expect(page.locator("[data-testid=said][data-code=done]")).to_be_visible()
    assert not accounts.find_user(books, "Ada 7").notify


def test_a_browser_without_notifications_says_so(told, stack):
    page = told().page
    page.add_init_script("delete window.Notification")
    page.goto(f"{stack.address}/settings")
    page.get_by_test_id("notify").click()
    expect(page.get_by_test_id("notify-hint")).to_contain_text("https")
    expect(page.get_by_test_id("notify")).not_to_be_checked()
