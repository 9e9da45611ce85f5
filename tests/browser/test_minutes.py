"""Minutes of today on the chat page, in a real browser: said when few are left, renewed with each message."""

import re

import pytest
from chat_page import VIEWS
from playwright.sync_api import expect

from store import accounts, usage_limits

pytestmark = pytest.mark.browser


@pytest.fixture
def allow(books, people):
    """`allow(5)`: so many more minutes today for Ada 8; None, as in the end: as many as she likes."""
    owner, _ = people(8)

    def set_minutes(more):
        accounts.set_limits(books, owner, 24 * 60, None, None)
        used = usage_limits.today(books, accounts.get_user(books, owner)).used
        accounts.set_limits(books, owner, None if more is None else int(used) + more, None, None)

    yield set_minutes
    set_minutes(None)


@pytest.mark.parametrize("view", VIEWS)
def test_few_minutes_are_said_with_each_message_and_many_are_not(sit, allow, view):
    allow(60)
    chat = sit(view, number=8)
    expect(chat.minutes_left).to_be_hidden()
    chat.told("Is there time?")
    expect(chat.minutes_left).to_be_hidden()
    for left in (9, 4):
        allow(left)  # by an admin, while the page is open
        chat.told("And now?")
        said = re.compile(rf"^Time to look for a good ending\. Minutes left for today: [1-{left}]$")
        expect(chat.minutes_left).to_have_text(said, use_inner_text=True)
    chat.reload()
    expect(chat.minutes_left).to_have_text(said, use_inner_text=True)
    assert chat.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    allow(None)
    chat.told("Thank you!")
    expect(chat.minutes_left).to_be_hidden()


def test_the_settings_tell_how_much_was_used(sit, allow):
    allow(600)
    chat = sit("390", number=8)
    chat.told("Is there time?")
    chat.page.goto(f"{chat.address}/settings")
    bar = chat.my_limits.locator("progress")
    expect(chat.minutes_used).to_have_text(re.compile(r"You have used \d+ of your 6\d\d minutes today\."))
    assert 0 < float(bar.get_attribute("value")) < 600 < float(bar.get_attribute("max")) + 1
