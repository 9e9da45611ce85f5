"""The app in a browser that has a service worker: what it keeps, and what it shows while the server is away."""

import pytest
from chat_page import VIEWS, sign_in
from playwright.sync_api import expect

from store import accounts, chats
from store.bundled import character_id
from web.auth import passwords

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
KEPT = """async () => { const kept = [];
  for (const name of await caches.keys())
    for (const one of await (await caches.open(name)).keys()) kept.push(new URL(one.url).pathname);
  return kept }"""
READY = "async () => Boolean((await navigator.serviceWorker.ready).active)"


@pytest.mark.parametrize("view", VIEWS)
def test_a_page_for_the_time_without_the_server_and_nothing_private_in_it(stack, browser, books, view):
    stack.forget_rate_limits()
    hashed = passwords.hash_password("a long enough password")
    ada = accounts.sign_up(books, accounts.create_invite(books, "adult")[1], f"Ada of the app {view}", hashed)
    chat = chats.create_chat(books, ada.id, character_id("mara"), "Ada")
    context = browser.new_context(**{**VIEWS[view], "service_workers": "allow"})
    page = context.new_page()
    sign_in(page, stack.address, ada.name)
    assert page.evaluate(READY)
    for path in (f"/chat/{chat.id}", "/settings", f"/characters/{character_id('mara')}", "/"):
        page.goto(stack.address + path)
    page.get_by_test_id("characters").wait_for()
    kept = page.evaluate(KEPT)
    assert [path for path in kept if not path.startswith("/assets/")] == ["/offline/en"], "no page of anybody"
    assert not [path for path in kept if "avatars" in path or "/chat" in path]
    context.set_offline(True)
    for path in (f"/chat/{chat.id}", "/"):
        page.goto(stack.address + path)
        expect(page.get_by_test_id("offline-page")).to_be_visible()
        assert page.url == stack.address + path, "where it goes on afterwards"
        assert ada.name not in page.content()
    assert page.evaluate("() => document.fonts.ready.then(() => document.fonts.check('16px Alegreya'))")
    context.set_offline(False)
    page.get_by_test_id("characters").wait_for()  # it comes back by itself
    context.close()
