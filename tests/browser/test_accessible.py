"""axe-core on every page and every open drawer: on a desktop and on a phone, by day and by night, in both languages.

Every route that a browser may get is visited by itself; one with something new in its address needs a line in
`values`. axe reaches the page by the debugger's line, so the pages keep their own security policy.
"""

import io

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from chat_page import VIEWS, ChatPage, sign_in
from flask import Flask
from PIL import Image
from playwright.sync_api import expect
from two_browsers import PASSWORD
from werkzeug.routing import Map

from store import accounts, characters, chats, personas
from store.broker import warmup
from store.bundled import character_id
from store.lore import books as lorebooks
from web.app import BLUEPRINTS
from web.auth import passwords

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

LOCALES = {"en": "en-GB", "zh": "zh-CN"}
LOOKS = {
    "en": [(view, scheme) for view in VIEWS for scheme in ("light", "dark")],
    "zh": [("1280", "dark"), ("390", "light")],
}
AXE = """async () => (await axe.run(document, { resultTypes: ['violations'], preload: false })).violations
  .flatMap((rule) => rule.nodes.map((one) => [rule.impact, rule.id, one.html.slice(0, 160), one.failureSummary]))"""
OPEN_ALL = "() => { for (const one of document.querySelectorAll('details')) one.open = true; }"
SHOW = "(ids) => { for (const id of ids) document.getElementById(id).hidden = false; }"
STATUS = [
    {"name": "Mood", "type": "text"},
    {"name": "Wind", "type": "integer", "minimum": 0, "maximum": 12, "unit": "Bft"},
    {"name": "Weather", "type": "one_of", "options": ["fog", "rain"]},
]
CARD = {
    "name": "Mo",
    "description": "A cat.",
    "first_mes": "*Purrs.* “You again.”",
    "alternate_greetings": ["*Sleeps.*"],
    "creator_notes": "## For a quiet evening\n\n- rain\n- a lamp\n\n| a | b |\n| --- | --- |\n| 1 | 2 |",
    "tags": ["cosy", "sea"],
    "extensions": {"inglenook": {"status": STATUS}},
}


def rules():
    """Every address that answers to GET."""
    app = Flask("addresses")
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    # Never pages, and their addresses can be anything; a piece of a page.
    skipped = ("static", "assets.file", "characters.openings")
    return [rule for rule in app.url_map.iter_rules() if "GET" in rule.methods and rule.endpoint not in skipped]


def edit(chat):
    chat.more.nth(1).click()
    chat.do_edit.click()
    chat.edit_other.evaluate("one => { one.hidden = false }")


def menu(chat):
    chat.more.last.click()
    chat.message_menu.wait_for()


def after(chat):
    chat.after.click()
    chat.after_menu.wait_for()


def status(chat):
    if chat.status_card.is_hidden():
        chat.status_button.click()
    chat.show_status.last.click()
    chat.message_status.last.wait_for()


def setup(chat):
    chat.setup_button.click()
    chat.advanced.locator("summary").click()
    chat.setup.wait_for()


def start_over(chat):
    chat.setup_button.click()
    chat.start_over.click()
    chat.over.wait_for()


def why(chat):
    chat.more.nth(2).click()
    chat.do_why.click()
    expect(chat.likely).to_contain_text("%")


def pick(chat):
    """A word of the last reply, with others to go on from: the echo is sure of all but the tag at its end."""
    chat.told("Who?")
    chat.more.last.click()
    chat.do_why.click()
    words = chat.why.locator(".word")
    words.nth(words.count() - 4).click()
    expect(chat.page.get_by_test_id("pick").first).to_be_visible()


def prompt(chat):
    """What the model read, every part of it open."""
    chat.more.last.click()
    chat.do_prompt.click()
    chat.prompt_segment.first.wait_for()
    chat.page.evaluate(OPEN_ALL)


def banners(chat):
    """Everything that is only there when something has happened."""
    chat.page.evaluate(SHOW, ["offline", "outage", "failure", "notice", "reload", "toast", "undo", "newest"])


def offer(chat):
    """A suggestion beside words of my own."""
    chat.draft.fill("No!")
    chat.suggest.click()
    chat.offer.wait_for()


SCENES = (edit, menu, after, status, setup, start_over, why, pick, prompt, banners, offer)


@pytest.fixture(scope="module")
def ada(stack, books):
    """An admin who has something of everything."""
    stack.forget_rate_limits()
    invite = accounts.create_invite(books, "admin")[1]
    return accounts.sign_up(books, invite, "Ada Axe", passwords.hash_password(PASSWORD))


@pytest.fixture(scope="module")
def pages(stack, browser, books, ada):
    """`pages("en", signed_in)`: the window of that language; there is one of each."""
    windows = {}

    def of(language, signed_in=True):
        accounts.set_preferences(books, ada.id, locale=language)
        if (language, signed_in) not in windows:
            page = browser.new_context(locale=LOCALES[language], reduced_motion="reduce").new_page()
            page.set_default_timeout(30_000)
            if signed_in:
                sign_in(page, stack.address, ada.name)
            windows[language, signed_in] = page
        return windows[language, signed_in]

    yield of
    for page in windows.values():
        page.context.close()


@pytest.fixture(scope="module")
def values(books, ada):
    """What stands in addresses."""
    with io.BytesIO() as sea:
        Image.new("RGB", (160, 90), "navy").save(sea, "PNG")
        mo = characters.save_character(books, ada, CARD, tagline="Purrs.", background=sea.getvalue())
        ann = personas.save_persona(books, ada.id, "Captain Ann", "A sailor.", picture=sea.getvalue())
    seas = lorebooks.add_book(books, ada.id, {"entries": [{"keys": ["sea"], "content": "It is blue."}]}, "Seas")
    return {
        "token": accounts.create_invite(books, "teen")[1],
        "character_id": mo.id,
        "persona_id": ann.id,
        "chat_id": chats.create_chat(books, ada.id, mo.id, "Ann").id,
        "picture_id": "0" * 32,
        "lorebook_id": seas.id,
        "place": "0",
        "ending": "json",
        "locale": "en",
    }


@pytest.fixture(scope="module")
def story(stack, books, ada, pages):
    """A story with everything in it: alternatives, a narrator, a pin, a status, words with their likelihood."""
    story = chats.create_chat(books, ada.id, character_id("mara"), "Ada").id
    chats.change_chat(books, ada.id, story, settings={"top_n": 5}, author_note="Rain.", reference="A letter.")
    chat = ChatPage(pages("en"), stack.address).open(story).told("Who are *you*?")
    for button in (chat.retry.last, chat.narrate, chat.status, chat.suggest):
        button.click()
        chat.busy()
        chat.rest()
    chat.more.nth(1).click()
    chat.do_pin.click()
    chat.pinned.nth(1).wait_for()
    ordinals = [one.ordinal for one in chats.transcript(books, story)]
    warmup.keep_window(books, story, chats.get_revision(books, story), {"messages": ordinals[2]})
    return story


def findings(page, language):
    """What axe has against the page, in every look."""
    found = []
    page.evaluate(AXE_SCRIPT)
    for view, scheme in LOOKS[language]:
        page.set_viewport_size(VIEWS[view]["viewport"])
        page.emulate_media(color_scheme=scheme)
        found += [(view, scheme, *one) for one in page.evaluate(AXE)]
    return found


@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.endpoint)
def test_a_page(stack, pages, values, rule, language):
    signed_in = rule.endpoint not in ("accounts.login", "accounts.sign_up_form")
    page = pages(language, signed_in)
    address = stack.address + Map([rule.empty()]).bind("").build(rule.endpoint, values)
    # The server closes a connection that was idle for two seconds; a browser asks again by itself, and so does this.
    answer = page.request.get(address, headers={"Accept": "text/html"}, max_retries=3)
    if "text/html" in answer.headers["content-type"]:
        page.goto(address)
        page.evaluate(OPEN_ALL)
        assert findings(page, language) == []


@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_story(stack, pages, story, scene, language):
    page = pages(language)
    page.set_viewport_size(VIEWS["1280"]["viewport"])
    chat = ChatPage(page, stack.address).open(story)
    scene(chat)
    assert findings(page, language) == []
