"""The plain pages in a real browser: library, characters, personas, settings, people; by hand, by key, on a phone."""

import io
import itertools

import pytest
from chat_page import VIEWS, leave_clean, sign_in, watched
from PIL import Image
from playwright.sync_api import expect
from two_browsers import PASSWORD

from store import accounts, characters, chats, personas
from store.bundled import character_id
from web.auth import passwords

pytestmark = pytest.mark.browser
SIZES = {**VIEWS, "360": {**VIEWS["390"], "viewport": {"width": 360, "height": 740}}}
NUMBERS = itertools.count(1)

# What can be focused and has no name that a screen reader could say, or is too small for a thumb (or, with a mouse, to
# be hit), its label included.
NAMELESS = """() => [...document.querySelectorAll('a[href], button, input, select, textarea, summary')]
  .filter((one) => one.type !== 'hidden' && one.checkVisibility() && !one.closest('[aria-hidden=true]'))
  .filter((one) => {
    const names = [one.getAttribute('aria-label'), ...[...(one.labels ?? [])].map((label) => label.innerText),
      one.matches('a, button, summary') ? one.innerText : ''];
    return !names.some((name) => name?.trim()); })
  .map((one) => one.outerHTML.slice(0, 120))"""
TINY = """() => [...document.querySelectorAll('button, summary, .button, select, nav a, input:not([type=hidden])')]
  .filter((one) => one.checkVisibility() && !one.closest('.hidden, [aria-hidden=true]') && !one.matches('.hidden'))
  .map((one) => [one, (one.closest('label') ?? one).getBoundingClientRect()])
  .filter(([, box]) => Math.min(box.width, box.height) < (matchMedia('(pointer: coarse)').matches ? 43.5 : 36))
  .map(([one]) => one.outerHTML.slice(0, 120))"""
# Text whose contrast with what it stands on is below 4.5 (3 when it is large): [words, contrast].
PALE = """() => {
  const rgba = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const over = (top, under) => top.slice(0, 3).map((one, n) => one * top[3] + under[n] * (1 - top[3])).concat(1);
  const linear = (one) => one <= 10.3 ? one / 3295 : ((one / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const ground = (one) => { const layers = [];
    for (let at = one; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]); };
  const found = [];
  for (const one of document.querySelectorAll('body *')) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !one.checkVisibility() || one.closest('.hidden, .skip, noscript')) continue;
    const style = getComputedStyle(one), under = ground(one);
    const pair = [light(over(rgba(style.color), under)), light(under)].sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.6 && style.fontWeight >= 700);
    if (contrast < (large ? 3 : 4.5)) found.push([one.textContent.trim().slice(0, 40), contrast.toFixed(2)]);
  }
  return found; }"""


@pytest.fixture(scope="module")
def hashed():
    return passwords.hash_password(PASSWORD)


@pytest.fixture
def visit(stack, browser, books, hashed):
    """`visit("390", role="admin")`: the first page of somebody new, in a window of that size; `page.who` is them.

    Looks for errors and foreign requests at the end.
    """
    pages = []

    def enter(view="1280", role="adult", scheme="light"):
        name = f"Vera {next(NUMBERS)}"
        stack.forget_rate_limits()  # twenty may come in from one address in a minute
        who = accounts.sign_up(books, accounts.create_invite(books, role)[1], name, hashed)
        page = watched(browser.new_context(**SIZES[view], color_scheme=scheme).new_page(), stack.address)
        page.who = who
        sign_in(page, stack.address, name)
        pages.append(page)
        return page

    yield enter
    for page in pages:
        leave_clean(page)


def picture(colour="#3f6373"):
    out = io.BytesIO()
    Image.new("RGB", (900, 700), colour).save(out, "PNG")
    return {"name": "mo.png", "mimeType": "image/png", "buffer": out.getvalue()}


def go(page, path):
    page.goto(page.address + path)


def said(page, code):
    expect(page.locator(f"[data-testid=said][data-code={code}]")).to_be_visible()


@pytest.mark.parametrize("view", VIEWS)
def test_characters_are_found_without_asking_the_server(visit, view):
    page = visit(view)
    shown = page.locator("[data-testid=character]:visible")
    everybody = shown.count()
    field = page.get_by_role("searchbox", name="Search characters")
    field.wait_for()  # a script has shown it: all of them are there
    asked = len(page.requests)
    field.fill("LIGHTHOUSE quíll")
    expect(shown).to_have_count(1)
    expect(shown).to_have_attribute("data-slug", "mara")
    field.fill("nobody of that name")
    expect(page.get_by_test_id("no-characters")).to_be_visible()
    field.press("Escape")
    expect(shown).to_have_count(everybody)
    tag = page.get_by_test_id("tag").and_(page.locator("[data-tag=sea]"))
    tag.focus()
    page.keyboard.press("Space")
    expect(tag).to_have_attribute("aria-pressed", "true")
    expect(shown).to_have_count(1)
    page.keyboard.press("Enter")
    expect(shown).to_have_count(everybody)
    assert [url for url in page.requests[asked:] if "/avatars/" not in url and not url.endswith("/icon.svg")] == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_story_begins_as_a_persona(visit, books, view):
    page = visit(view)
    page.get_by_test_id("to-personas").click()
    page.get_by_test_id("new-persona").click()
    page.get_by_test_id("name").fill("Captain Ann")
    page.get_by_test_id("description").fill("A sailor.")
    page.get_by_test_id("save").click()
    said(page, "persona")
    page.get_by_test_id("to-stories").click()
    page.locator("[data-slug=mara]").get_by_test_id("begin").click()
    page.get_by_test_id("as-persona").check()
    expect(page.get_by_test_id("as-name")).to_have_value("Captain Ann")
    page.get_by_test_id("as-name").fill("Annie")
    page.get_by_test_id("as-myself").check()
    expect(page.get_by_test_id("as-name")).to_have_value("Annie")
    page.get_by_test_id("as-persona").check()
    page.get_by_test_id("begin").click()
    page.get_by_test_id("draft").wait_for()
    (chat,) = chats.list_chats(books, page.who.id)
    assert (chat.user_name, chat.user_persona) == ("Annie", "A sailor.")
    go(page, "/personas")
    page.get_by_test_id("persona").click()
    page.get_by_test_id("delete-persona").click()
    page.get_by_test_id("delete-persona-really").click()
    said(page, "persona-gone")


@pytest.mark.parametrize("view", VIEWS)
def test_a_character_is_written_by_hand(visit, books, view):
    page = visit(view)
    page.get_by_test_id("new-character").click()
    page.get_by_test_id("name").fill("Mo")
    page.get_by_test_id("tagline").fill("Purrs.")
    page.get_by_test_id("picture").set_input_files(picture())
    page.locator("#likeness canvas").wait_for()
    page.get_by_test_id("first_mes").fill("Hello, {{user}}.")
    for words in ("Purr.", "Meow."):
        page.get_by_test_id("add-greeting").press("Enter")
        page.keyboard.insert_text(words)  # the new row has the focus
    page.get_by_test_id("remove-greeting").first.click()
    page.get_by_test_id("tags").fill("cats, cosy")
    page.get_by_test_id("rating").select_option("teen")
    page.get_by_test_id("add-status").click()
    page.get_by_test_id("status-name").fill("Hunger")
    expect(page.get_by_test_id("status-minimum")).to_be_hidden()
    page.get_by_test_id("status-type").select_option("integer")
    page.get_by_test_id("status-maximum").fill("9")
    page.get_by_test_id("save").click()
    said(page, "character")
    expect(page.locator("[data-testid=greeting][data-shown]")).to_contain_text(f"Hello, {page.who.name}.")
    assert (
        page.locator(".likeness img").evaluate("async (one) => { await one.decode(); return one.naturalWidth; }") == 800
    )
    (made,) = (one for one in characters.list_characters(books, page.who) if one.owner_id == page.who.id)
    assert made.card["alternate_greetings"] == ["Meow."]
    assert made.card["extensions"]["inglenook"]["status"][0]["maximum"] == 9
    page.get_by_test_id("edit-character").click()
    page.get_by_test_id("status-type").select_option("one_of")
    page.get_by_test_id("save").click()
    expect(page.get_by_test_id("status-error")).to_be_visible()
    expect(page.get_by_test_id("first_mes")).to_have_value("Hello, {{user}}.")
    page.get_by_test_id("status-options").fill("hungry, full")
    page.get_by_test_id("save").click()
    page.get_by_test_id("delete-character").click()
    page.get_by_test_id("delete-character-really").click()
    said(page, "character-gone")


@pytest.mark.parametrize("view", VIEWS)
def test_the_shelf_of_stories(visit, books, view):
    page = visit(view)
    for slug in ("mara", "tobias"):
        chats.create_chat(books, page.who.id, character_id(slug), page.who.name)
    go(page, "/chats")
    shown = page.locator("[data-testid=story-row]:visible")
    page.get_by_role("searchbox").fill("quill")
    expect(shown).to_have_count(1)
    page.get_by_test_id("story-more").locator("visible=true").press("Enter")
    shown.get_by_test_id("title").fill("A night on the Rock")
    shown.get_by_test_id("rename").click()
    said(page, "renamed")
    page.get_by_role("searchbox").fill("night rock")
    expect(shown).to_have_count(1)
    page.get_by_test_id("story-more").locator("visible=true").click()
    shown.get_by_test_id("delete-story").click()
    page.get_by_test_id("characters").wait_for()
    assert [one.character_name for one in chats.list_chats(books, page.who.id)] == ["Tobias Fenn"]


@pytest.mark.parametrize("view", VIEWS)
def test_my_settings(visit, books, view):
    page = visit(view)
    page.get_by_test_id("to-settings").click()
    paper = "getComputedStyle(document.documentElement).getPropertyValue('--paper')"
    by_day = page.evaluate(paper)
    page.get_by_test_id("theme-dark").check()
    page.get_by_test_id("locale-zh").check()
    page.get_by_test_id("save-look").click()
    said(page, "look")
    assert page.evaluate(paper) != by_day
    assert accounts.get_user(books, page.who.id).locale == "zh"
    page.get_by_test_id("sign-out-everywhere").click()
    said(page, "everywhere")
    with page.expect_download() as download:
        page.get_by_test_id("download").click()
    assert page.who.name in download.value.path().read_text(encoding="utf-8")
    page.get_by_test_id("old-password").fill(PASSWORD)
    page.get_by_test_id("new-password").fill("another one, also long")
    page.get_by_test_id("change-password").click()
    said(page, "password")
    page.get_by_test_id("leave").locator("summary").press("Enter")
    page.get_by_test_id("farewell-password").fill("another one, also long")
    page.get_by_test_id("delete-account").click()
    said(page, "account-gone")
    assert accounts.get_user(books, page.who.id) is None


@pytest.mark.parametrize("view", VIEWS)
def test_the_admins_page(visit, books, browser, view):
    page = visit(view, role="admin")
    kim = visit(role="child").who
    page.get_by_test_id("to-people").click()
    page.get_by_test_id("invite-form").get_by_test_id("role").select_option("teen")
    page.get_by_test_id("invite").click()
    link = page.get_by_test_id("invitation-link").input_value()
    assert accounts.find_invite(books, link.rsplit("/", 1)[1]).role == "teen"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_test_id("copy").click()
    expect(page.get_by_test_id("copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == link
    page.get_by_test_id("revoke").first.click()
    said(page, "revoked")
    guest = page.locator(f"[data-testid=guest][data-name='{kim.name}']")
    guest.locator("summary").first.press("Enter")
    guest.get_by_test_id("minutes").fill("45")
    guest.get_by_test_id("quiet-from").fill("20:30")
    guest.get_by_test_id("quiet-until").fill("07:00")
    guest.get_by_test_id("save-person").click()
    said(page, "person")
    expect(guest).to_contain_text("45 min of play a day")
    assert accounts.get_user(books, kim.id).quiet_from == "20:30"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", SIZES)
def test_every_page_can_be_read_and_reached(visit, books, view, scheme):
    page = visit(view, role="admin", scheme=scheme)
    ann = personas.save_persona(books, page.who.id, "Captain Ann", "A sailor.")
    card = {"name": "Mo", "extensions": {"inglenook": {"status": [{"name": "Mood", "type": "text"}]}}}
    mo = characters.save_character(books, page.who, card, tagline="Purrs.")
    chats.create_chat(books, page.who.id, mo.id, "Ann")
    paths = ["/", "/chats", f"/characters/{mo.id}", f"/characters/{mo.id}/edit", "/personas", f"/personas/{ann.id}"]
    for path in [*paths, "/settings", "/people", "/models"]:
        go(page, path)
        page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
        width = page.evaluate("Math.max(innerWidth, document.documentElement.scrollWidth)")  # a phone zooms out instead
        assert width <= SIZES[view]["viewport"]["width"], f"{path} is too wide"
        assert page.evaluate(NAMELESS) == [], path
        assert page.evaluate(TINY) == [], path
        assert page.evaluate(PALE) == [], path
        assert len(page.locator("h1").all()) == 1, path


def test_the_first_key_leads_past_the_head(visit):
    page = visit()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_the_pages_work_without_script(stack, browser, books, hashed):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    who = accounts.sign_up(books, accounts.create_invite(books, "adult")[1], f"Vera {next(NUMBERS)}", hashed)
    page.goto(f"{stack.address}/login")
    page.locator("[data-testid=name]").fill(who.name)
    page.locator("[data-testid=password]").fill(PASSWORD)
    page.locator("[data-testid=sign-in]").click()
    page.goto(f"{stack.address}/characters/new")
    page.locator("[data-testid=name]").fill("Mo")
    page.locator("[data-testid=greeting]").fill("Purr.")
    page.locator("[data-testid=save]").click()
    expect(page.locator("h1")).to_have_text("Mo")
    context.close()
