"""The pages in 中文 in a real browser: what is there from the start, and what scripts say while a story is told."""

import itertools

import pytest
from chat_page import VIEWS, ChatPage
from playwright.sync_api import expect
from test_house_pages import NAMELESS, PALE, SIZES, TINY

from store import accounts, chats
from store.bundled import character_id

pytestmark = pytest.mark.browser
NUMBERS = itertools.count(1)

# Everything that scripts say of a turn under way, kept from the first moment.
LISTEN = """
  window.said = new Set();
  const hear = () => { for (const one of document.querySelectorAll('.stage, #doing')) said.add(one.textContent); };
  new MutationObserver(hear).observe(document, { subtree: true, childList: true, characterData: true });"""
# Latin words that can be seen or heard, but for stories, names and the brand.
LATIN = """() => {
  const own = '.prose, .name, dd, .brand, .tag, output, textarea, input, [lang=en], [lang=""], .why .words, .likely q';
  const found = [];
  const names = /inglenook|Ctrl|Alt|Enter|DRY|XTC|Min P|Top P|Top K|Markdown|JSONL|JSON/g;
  const look = (words) => { if (/[A-Za-z]{3}/.test(words.replace(names, '')))
    found.push(words.trim()); };
  for (const one of document.querySelectorAll('body *')) {
    if (one.matches('script, style, template, noscript')) continue;
    for (const name of ['aria-label', 'title', 'placeholder']) look(one.getAttribute(name) ?? '');
    if (!one.closest(own)) for (const node of one.childNodes) if (node.nodeType === 3) look(node.data);
  }
  return [...new Set([...found, ...[...said].filter((words) => /[A-Za-z]{3}/.test(words))])]; }"""


@pytest.fixture
def page(stack, browser):
    context = browser.new_context(**VIEWS["390"], locale="zh-CN")
    context.add_init_script(LISTEN)
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


@pytest.fixture
def guest(stack, books, page):
    """Somebody who was invited, read the invitation in 中文 and signed up."""
    name = f"周{next(NUMBERS)}"
    page.goto(f"{stack.address}/invite/{accounts.create_invite(books, 'adult')[1]}")
    page.get_by_test_id("name").fill(name)
    page.get_by_test_id("password").fill("a long enough password")
    page.get_by_test_id("sign-up").click()
    page.get_by_test_id("characters").wait_for()
    return accounts.find_user(books, name)


def test_the_switch_at_the_door(stack, page):
    page.goto(f"{stack.address}/login")
    html = page.locator("html")
    expect(html).to_have_attribute("lang", "zh-Hans")
    page.get_by_test_id("language-en").click()
    expect(html).to_have_attribute("lang", "en")
    expect(page.get_by_test_id("sign-in")).to_have_text("Sign in")
    page.get_by_test_id("language-zh").press("Enter")
    expect(page.get_by_test_id("sign-in")).to_have_text("登录")


def test_times_are_told_in_it(stack, books, page, guest):
    chats.create_chat(books, guest.id, character_id("yanqiu"), guest.name)
    page.goto(f"{stack.address}/chats")
    expect(page.locator(".story-link time")).to_have_text("刚刚")
    assert page.evaluate(LATIN) == []


def test_a_story_is_told_in_it(stack, books, page, guest):
    story = ChatPage(page, stack.address)
    story.open(chats.create_chat(books, guest.id, character_id("yanqiu"), guest.name).id)
    story.told("你好")
    for button in (story.narrate, story.status, story.suggest):
        button.click()
        story.busy()
        story.rest()
    expect(page.locator("[data-role=narrator] .name")).to_have_text("旁白")
    assert page.evaluate("said.size") > 2
    assert page.evaluate(LATIN) == []
    page.get_by_test_id("more").last.click()
    page.get_by_test_id("do-edit").click()
    expect(page.get_by_test_id("edit-price")).to_contain_text("说书人要重读最后 1 条消息")
    page.get_by_test_id("edit-cancel").click()
    page.get_by_test_id("more").last.click()
    page.get_by_test_id("do-delete").click()
    expect(page.locator("#toast-words")).to_have_text("已删除。")
    page.get_by_test_id("setup-button").click()
    expect(page.get_by_test_id("setup")).to_be_visible()
    assert page.evaluate(LATIN) == []
    assert story.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_every_page_can_be_read_and_reached_in_it(stack, books, page, guest, width, scheme):
    accounts.set_role(books, guest.id, "admin")
    page.set_viewport_size({"width": width, "height": SIZES["360"]["viewport"]["height"]})
    page.emulate_media(color_scheme=scheme)
    chat = chats.create_chat(books, guest.id, character_id("yanqiu"), guest.name).id
    paths = ["/", "/chats", f"/characters/{character_id('yanqiu')}", "/characters/new", "/personas", "/personas/new"]
    for path in [*paths, "/settings", "/people", f"/chat/{chat}"]:
        page.goto(stack.address + path)
        page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
        needed = page.evaluate("Math.max(innerWidth, document.documentElement.scrollWidth)")
        assert needed <= width, f"{path} is too wide"
        for wrong in (NAMELESS, TINY, PALE):
            assert page.evaluate(wrong) == [], path
