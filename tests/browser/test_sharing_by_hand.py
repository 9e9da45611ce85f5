"""Sharing and people in real browsers, wide and narrow: a child asks, a parent grants and takes back; an admin invites
by name, suspends and removes."""

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from chat_page import VIEWS
from playwright.sync_api import expect
from test_accessible import AXE
from test_house_pages import NAMELESS, PALE, TINY

from store import accounts, characters, chats
from store.lore import books as lorebooks

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
LONG = {"entries": [{"keys": ["inn"], "content": "It leaks where the cat sleeps.", "comment": "The roof"}]}


def settled(page):
    """Nothing on the page is nameless, tiny, pale, or wider than the window."""
    for script in (NAMELESS, TINY, PALE):
        assert page.evaluate(script) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.fixture
def enter(stack, browser, books):
    """`enter(name, role, view, scheme)`: the home page of somebody new."""
    contexts = []

    def somebody(name, role, view, scheme="light"):
        context = browser.new_context(**VIEWS[view], color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{stack.address}/invite/{accounts.create_invite(books, role)[1]}")
        page.get_by_test_id("name").fill(name)
        page.get_by_test_id("password").fill("a long enough password")
        page.get_by_test_id("sign-up").click()
        page.get_by_test_id("characters").wait_for()
        return page, accounts.find_user(books, name)

    yield somebody
    for context in contexts:
        context.close()


@pytest.mark.parametrize(("view", "scheme"), [("1280", "light"), ("390", "dark")])
def test_a_child_gets_a_character_from_a_parent(stack, books, enter, view, scheme):
    parent, ada = enter(f"Ada of {view}", "adult", view, scheme)
    child, kim = enter(f"Kim of {view}", "child", view)
    fox = f"Ember Fox {view}"
    for name in (f"Captain {view}", fox):
        card = {"name": name, "first_mes": "*yawns* Hello, {{user}}!", "description": "Warm and curious."}
        characters.save_character(books, ada, card, tagline="Knows every path.")
    book = lorebooks.add_book(books, ada.id, LONG, f"Old inns {view}")

    expect(child.get_by_text(fox)).to_have_count(0)
    child.get_by_test_id("wish-text").fill("a fox that tells jokes")
    child.get_by_test_id("wish-ask").click()
    expect(child.get_by_test_id("said")).to_have_attribute("data-code", "asked")
    expect(child.get_by_test_id("own-wish")).to_have_attribute("data-state", "open")
    settled(child)

    parent.reload()
    wish = parent.get_by_test_id("wish").filter(has_text=kim.name)
    settled(parent)
    parent.evaluate(AXE_SCRIPT)
    assert [one for one in parent.evaluate(AXE) if one[0] in ("serious", "critical")] == []
    wish.get_by_test_id("wish-grant").click()  # the likeliest character is chosen already
    expect(parent.get_by_test_id("said")).to_have_attribute("data-code", "granted")

    child.reload()
    expect(child.get_by_test_id("wish-granted")).to_contain_text(fox)
    settled(child)
    child.get_by_test_id("wish-granted").get_by_role("link").click()
    expect(child.get_by_test_id("from")).to_have_text(f"from {ada.name}")
    settled(child)
    child.get_by_test_id("begin").click()
    expect(child.get_by_test_id("prose").get_by_text(f"Hello, {kim.name}!")).to_be_visible()
    story = child.url

    parent.get_by_test_id("character").filter(has_text=fox).get_by_test_id("character-page").click()
    expect(parent.get_by_test_id("share-state")).to_have_text(f"with {kim.name}")
    parent.get_by_test_id("share-open").click()
    settled(parent)
    expect(parent.get_by_test_id("readers")).to_be_visible()
    parent.get_by_test_id("share-house").check(force=True)
    expect(parent.get_by_test_id("readers")).to_be_hidden()
    parent.get_by_test_id("share-people").check(force=True)
    parent.locator(f"[data-testid=share-person][data-name='{kim.name}']").uncheck()
    parent.get_by_test_id("share-save").click()
    expect(parent.get_by_test_id("share-wrong")).to_be_visible()
    settled(parent)
    parent.get_by_test_id("share-private").check(force=True)
    parent.get_by_test_id("share-save").click()
    expect(parent.get_by_test_id("share-state")).to_have_text("only you see it")
    child.goto(stack.address)
    expect(child.get_by_test_id("character").filter(has_text=fox)).to_have_count(0)
    child.goto(story)
    expect(child.get_by_test_id("prose").get_by_text(f"Hello, {kim.name}!")).to_be_visible()
    expect(child.get_by_test_id("send")).to_be_enabled()

    parent.goto(f"{stack.address}/books/{book.id}")
    parent.get_by_test_id("share-open").click()
    parent.get_by_test_id("share-people").check(force=True)
    parent.locator(f"[data-testid=share-person][data-name='{kim.name}']").check()
    settled(parent)
    parent.get_by_test_id("share-save").click()
    child.goto(f"{stack.address}/books")
    child.get_by_test_id("shared-book").filter(has_text=book.name).click()
    child.get_by_test_id("entry").click()
    expect(child.locator(".read .prose")).to_have_text("It leaks where the cat sleeps.")
    settled(child)
    child.get_by_test_id("copy-book").click()
    expect(child.get_by_test_id("rename-book")).to_be_visible()
    assert len(chats.list_chats(books, kim.id)) == 1


@pytest.mark.parametrize(("view", "scheme"), [("1280", "dark"), ("390", "light")])
def test_an_admin_invites_by_name_suspends_and_removes(stack, books, enter, view, scheme):
    boss, _ = enter(f"Root of {view}", "admin", view, scheme)
    kid, kim = enter(f"Tim of {view}", "child", view)
    boss.goto(f"{stack.address}/people")
    boss.get_by_test_id("invited-name").fill("Grandma Ruth")
    boss.get_by_test_id("invite").click()
    fresh = boss.get_by_test_id("fresh-invitation")
    expect(fresh).to_contain_text("Grandma Ruth")
    expect(fresh.get_by_test_id("only-here")).to_be_visible()  # the server of the tests listens on 127.0.0.1
    expect(fresh.get_by_test_id("qr").locator("svg")).to_be_visible()
    assert fresh.get_by_test_id("qr").bounding_box()["width"] >= 150
    settled(boss)
    boss.evaluate(AXE_SCRIPT)
    assert [one for one in boss.evaluate(AXE) if one[0] in ("serious", "critical")] == []
    link = fresh.get_by_test_id("invitation-link").input_value()
    kid.goto(link)
    expect(kid.get_by_test_id("name")).to_have_value("Grandma Ruth")

    guest = boss.locator(f"[data-testid=guest][data-name='{kim.name}']")
    guest.locator("summary").first.click()
    settled(boss)
    guest.get_by_test_id("suspend").click()
    expect(guest.get_by_test_id("is-suspended")).to_be_visible()
    kid.goto(stack.address)
    kid.get_by_test_id("name").fill(kim.name)
    kid.get_by_test_id("password").fill("a long enough password")
    kid.get_by_test_id("sign-in").click()
    expect(kid.get_by_text("This account is suspended")).to_be_visible()
    settled(kid)
    guest.locator("summary").first.click()
    guest.get_by_test_id("suspend").click()
    kid.get_by_test_id("password").fill("a long enough password")
    kid.get_by_test_id("sign-in").click()
    kid.get_by_test_id("characters").wait_for()
    guest.locator("summary").first.click()
    guest.get_by_test_id("delete-person").click()
    settled(boss)
    guest.get_by_test_id("delete-person-really").click()
    expect(guest).to_have_count(0)
    assert accounts.get_user(books, kim.id) is None
