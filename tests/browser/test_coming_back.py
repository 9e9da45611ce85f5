"""A page whose line is down, for longer than a hiccup."""

import re

import pytest
from playwright.sync_api import expect

from store import accounts

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def test_who_was_signed_out_while_nothing_could_be_asked_gets_to_the_door(sit, books, people):
    somebody = 41  # nobody else's cookies are lost
    chat = sit("1280", somebody)
    chat.page.route("**/messages*", lambda route: route.abort())
    with chat.page.expect_event("requestfailed", lambda request: "/messages" in request.url):
        accounts.sign_out_everywhere(books, people(somebody)[0])
    chat.page.unroute("**/messages*")
    expect(chat.page).to_have_url(re.compile("/login"))
    chat.errors.clear()  # Chromium's own words about the line
