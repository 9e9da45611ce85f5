"""The browser tests start the stack the way tests/deploy does, and render the stories of tests/web."""

import sys
from pathlib import Path

import pytest
from chat_page import VIEWS, ChatPage
from hostile_house import cast, crowd, hashed_once, mallory, victim
from playwright.sync_api import expect
from two_browsers import chromium

from store import accounts, chats
from store.bundled import character_id
from store.db import Database

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / room) for room in ("deploy", "web")]

__all__ = ["cast", "crowd", "hashed_once", "mallory", "victim"]

expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """One stack for all tests that need no model: it echoes, one turn at a time, slowly enough to be watched."""
    from tests.harness.stack import Stack

    stack = Stack(tmp_path_factory.mktemp("stack"), backend="echo", echo_delay_ms=6, max_reply_tokens=80, lanes=1)
    stack.start(120)
    yield stack
    assert stack.end() == 0


@pytest.fixture(scope="session")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def books(stack):
    """The database of the stack."""
    database = Database(f"sqlite:///{stack.data / 'inglenook.db'}")
    yield database
    database.close()


@pytest.fixture(scope="session")
def people(stack, browser, books):
    """`people(number)`: somebody who has signed up, as (id, cookies); the same one each time."""
    known = {}

    def somebody(number):
        if number not in known:
            context = browser.new_context()
            page = context.new_page()
            page.goto(f"{stack.address}/invite/{accounts.create_invite(books, 'adult')[1]}")
            page.get_by_test_id("name").fill(f"Ada {number}")
            page.get_by_test_id("password").fill("a long enough password")
            page.get_by_test_id("sign-up").click()
            page.get_by_test_id("characters").wait_for()
            known[number] = accounts.find_user(books, f"Ada {number}").id, context.storage_state()
            context.close()
        return known[number]

    return somebody


@pytest.fixture
def sit(stack, browser, books, people):
    """`sit(view, number=0)`: a new chat of somebody in a window of that size. Looks for errors at the end."""
    windows = []

    def begin(view, number=0):
        owner, cookies = people(number)
        chat = chats.create_chat(books, owner, character_id("mara"), "Ada")
        page = browser.new_context(**VIEWS[view], storage_state=cookies).new_page()
        windows.append(ChatPage(page, stack.address))
        return windows[-1].open(chat.id)

    yield begin
    for window in windows:
        window.page.context.close()
        assert window.strangers == [], "a request has left the server's own origin"
        assert window.errors == []


@pytest.fixture(params=VIEWS)
def chat(request, sit):
    """A new chat, on a desktop and on a phone."""
    return sit(request.param)
