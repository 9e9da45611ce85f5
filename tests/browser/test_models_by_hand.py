"""The page of models in a real browser: an admin changes the model with a phone while two others chat, and what cannot
be had, does not fit or finds no room says why. One stack serves all; its models lie on a small disk of their own.

`SCREENSHOTS=folder` keeps pictures of what was seen.
"""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from chat_page import VIEWS, ChatPage, leave_clean, sign_in, watched
from playwright.sync_api import expect
from two_browsers import PASSWORD

from store import accounts, characters, chats
from store.db import Database
from store.shelf import catalogue
from tests.engine.tiny_models import llama
from tests.harness.full_disk import SmallDisk
from tests.harness.hub import Hub
from tests.harness.huge_model import huge_model
from tests.harness.models import gemma_path
from tests.harness.stack import Stack
from web.auth import passwords

pytestmark = [pytest.mark.browser, pytest.mark.model]
GEMMA = "family/gemma-3-270m-GGUF", "gemma-3-270m-q4_k_m.gguf"
SUGGESTED = catalogue.find("qwen3.5-4b")
DISK_BYTES = 720 << 20
"""For Gemma, what stays free, and a little."""
WIDER = "() => document.documentElement.scrollWidth - innerWidth"
OFTEN = """if (location.pathname === '/models')
  setInterval(() => document.dispatchEvent(new Event('visibilitychange')), 400);"""
"""The page asks what is new every 2.5 s, and at once when somebody comes back to it: here all the time."""
SWITCH_MS = 90_000
CALM = {"lanes": 2, "context": 1024, "max_reply_tokens": 8, "ram_cache_mb": 64, "titles": False, "kv_type": "f16"}
KEEPER = {"name": "Wick", "first_mes": "The lamp is lit.", "description": "Keeps a lamp."}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A hub of this machine: a model that works, one whose bytes are others than its hash says, one of 3 TB, and a
    small one under a name of the catalogue."""
    folder = tmp_path_factory.mktemp("hub")
    with Hub() as served:
        served.add(*GEMMA, gemma_path(), "gemma")
        served.add("family/damaged-GGUF", "damaged.gguf", llama(folder / "damaged.gguf"), sha256="ab" * 32)
        served.add("family/mountain-GGUF", "mountain.gguf", huge_model(folder / "mountain.gguf"), sha256="cd" * 32)
        served.add(SUGGESTED.repo, SUGGESTED.file, llama(folder / "small.gguf", n_layers=4, n_heads=6, n_words=3000))
        yield served


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    with SmallDisk(tmp_path_factory.mktemp("small") / "models", DISK_BYTES) as small:
        yield small


@pytest.fixture(scope="module")
def home(tmp_path_factory, hub, disk):
    """`make run` with the demo model, and nothing in the folder of models."""
    stack = Stack(tmp_path_factory.mktemp("home") / "data", models_dir=disk.folder, hub_sources=hub.url, **CALM)
    stack.start(120)
    yield stack
    assert stack.end() == 0


@pytest.fixture(scope="module")
def people(home):
    """`people(name, role)`: an account; the database is the second value."""
    database = Database(f"sqlite:///{home.data / 'inglenook.db'}")
    hashed = passwords.hash_password(PASSWORD)

    def somebody(name, role="adult"):
        return accounts.sign_up(database, accounts.create_invite(database, role)[1], name, hashed)

    yield somebody, database
    database.close()


@pytest.fixture(scope="module")
def kims_cookies(home, browser, people):
    """Of Kim, the admin, who has a character of few words."""
    kim = people[0]("Kim", "admin")
    characters.save_character(people[1], kim, KEEPER)
    return cookies_of(home, browser, "Kim")


@pytest.fixture
def kim(home, browser, kims_cookies):
    """`kim(view)`: a window of Kim's on the home page. Looks for errors at the end."""
    pages = []

    def open_window(view="390"):
        page = watched(browser.new_context(**VIEWS[view], storage_state=kims_cookies).new_page(), home.address)
        page.add_init_script(OFTEN)
        page.goto(home.address)
        pages.append(page)
        return page

    yield open_window
    for page in pages:
        leave_clean(page)


@pytest.fixture
def storytellers(home, browser, people):
    """Two people, at a desk and with a phone, each in a story of theirs."""
    windows = []
    for name, view in (("Ada", "1280"), ("Bo", "390")):
        who = people[0](name)
        character = characters.save_character(people[1], who, KEEPER)
        chat = chats.create_chat(people[1], who.id, character.id, name)
        cookies = cookies_of(home, browser, name)
        page = browser.new_context(**VIEWS[view], storage_state=cookies).new_page()
        windows.append(ChatPage(page, home.address).open(chat.id))
    yield windows
    for window in windows:
        window.page.context.close()
        assert window.errors == []


def cookies_of(home, browser, name):
    home.forget_rate_limits()
    context = browser.new_context()
    sign_in(context.new_page(), home.address, name)
    cookies = context.storage_state()
    context.close()
    return cookies


def model(page, name):
    return page.locator(f"[data-testid=model][data-name='{name}']")


def ask_for(page, repo, file, name, fits):
    """By repository and file, in the form; the row with its plan."""
    page.get_by_test_id("repo").fill(repo)
    page.get_by_test_id("path").fill(file)
    page.get_by_test_id("ask").click()
    row = model(page, name)
    expect(row.get_by_test_id("plan")).to_have_attribute("data-fits", fits)
    return row


def look(page, name):
    """Keep pictures, where somebody wants to see them."""
    if not os.environ.get("SCREENSHOTS"):
        return
    folder, size = Path(os.environ["SCREENSHOTS"]), page.viewport_size
    folder.mkdir(parents=True, exist_ok=True)
    for width, height in ((1280, 900), (390, 844)):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=folder / f"models-{name}-{width}-{scheme}.png", full_page=True)
    page.emulate_media(color_scheme=None)
    page.set_viewport_size(size)


def see_the_change(windows, *words):
    """Everybody reads that the model changes; what they send meanwhile is answered after it."""
    for window in windows:
        expect(window.outage).to_contain_text("The server changes its model")
    for window, text in zip(windows, words, strict=False):
        window.say(text)
    for window in windows:
        expect(window.outage).to_be_hidden(timeout=SWITCH_MS)
        window.rest()
        assert window.last()["role"] == "character"
        assert window.last()["words"]


@pytest.mark.timeout(300)
def test_from_the_toy_to_the_first_word_of_another_model_and_back_with_a_phone(kim, storytellers, home):
    ada, bo = storytellers
    phone = kim("390")
    expect(phone.get_by_test_id("toy")).to_contain_text("This is a toy model.")
    look(phone, "toy")
    phone.get_by_test_id("toy-choose").click()
    row = ask_for(phone, GEMMA[0], "*q4_k_m.gguf", GEMMA[1], "well")
    planned = row.get_by_test_id("plan").inner_text()
    expect(row.get_by_test_id("room-after")).to_contain_text("stay free on the disk.")
    assert phone.evaluate(WIDER) <= 0
    look(phone, "looked")
    row.get_by_test_id("get").click()
    ada.say("Good evening!")
    bo.say("Is the light on?")
    expect(row.get_by_test_id("use")).to_be_visible(timeout=SWITCH_MS)
    assert row.get_by_test_id("plan").inner_text() == planned
    for chat in storytellers:
        chat.rest()
        assert [one["role"] for one in chat.messages()][-2:] == ["user", "character"]
    look(phone, "here")
    row.get_by_test_id("use").click()
    look(phone, "changing")
    see_the_change(storytellers, "What do you see?", "And now?")
    expect(row.get_by_test_id("in-use")).to_have_attribute("data-state", "serving")
    expect(phone.get_by_test_id("answers")).to_contain_text("emma")
    assert phone.evaluate(WIDER) <= 0
    look(phone, "serving")
    phone.goto(home.address)
    expect(phone.get_by_test_id("toy")).to_have_count(0)
    phone.get_by_test_id("character").filter(has_text=KEEPER["name"]).get_by_test_id("begin").click()
    own = ChatPage(phone, home.address)
    own.rest()
    own.told("Hello?")
    assert own.last()["role"] == "character"
    assert own.last()["words"]
    desk = kim("1280")
    desk.goto(f"{desk.address}/models")
    desk.get_by_test_id("as-started").click()
    see_the_change([*storytellers, own], "One more?")
    expect(desk.get_by_test_id("answers")).to_have_text("The demo model, a toy", timeout=SWITCH_MS)
    desk.goto(home.address)
    expect(desk.get_by_test_id("toy")).to_be_visible()


@pytest.mark.timeout(180)
def test_a_disk_that_fills_up_in_the_middle_says_so_and_the_rest_comes_when_there_is_room(kim, hub, home, disk):
    page = kim("390")
    page.goto(f"{page.address}/models")
    hub.faults.slow_s = 0.05
    suggestion = page.locator(f"[data-testid=suggestion][data-id='{SUGGESTED.id}']")
    suggestion.get_by_test_id("get-suggested").click()
    row = model(page, SUGGESTED.file)
    expect(row).to_have_attribute("data-state", "fetching")
    look(page, "fetching")
    disk.fill(pids=home.pids("web.downloader"))
    expect(row.get_by_test_id("why")).to_have_attribute("data-reason", "fetch.disk_full")
    expect(row).to_have_attribute("data-state", "failed")
    if disk.is_mounted:
        expect(page.get_by_test_id("room")).to_contain_text("0 B free for models")
    assert page.evaluate(WIDER) <= 0
    look(page, "disk-full")
    hub.faults.slow_s = 0.0
    disk.free(pids=home.pids("web.downloader"))
    n_before = len(hub.starts[SUGGESTED.file])
    row.get_by_test_id("get").click()
    expect(row.get_by_test_id("use")).to_be_visible()
    assert hub.starts[SUGGESTED.file][n_before:] != [0], "it goes on where it was"
    assert hub.sent_twice(SUGGESTED.file) <= 1 << 19
    expect(suggestion.get_by_test_id("to-model")).to_have_text("It is here")
    row.get_by_test_id("remove").click()
    row.get_by_test_id("remove-really").click()
    expect(row).to_have_count(0)
    assert not (disk.folder / SUGGESTED.file).exists()


@pytest.mark.timeout(180)
def test_what_cannot_be_had_does_not_fit_or_is_damaged_says_why(kim, disk):
    page = kim("390")
    with gemma_path().open("rb") as source, (disk.folder / "torn.gguf").open("wb") as out:
        out.write(source.read(20 << 20))
    page.goto(f"{page.address}/models")
    row = ask_for(page, "family/mountain-GGUF", "mountain.gguf", "mountain.gguf", "no")
    expect(row.get_by_test_id("plan")).to_contain_text("mountain.gguf does not fit into the memory")
    expect(row.get_by_test_id("room-after")).to_have_attribute("data-fits", "no")
    row.get_by_test_id("get").click()
    expect(row.get_by_test_id("why")).to_have_attribute("data-reason", "fetch.disk_full")
    expect(row).to_have_attribute("data-state", "failed")
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    page.get_by_test_id("repo").fill("family/damaged-GGUF")
    page.get_by_test_id("ask").click()
    look(page, "which-file")
    page.get_by_test_id("take-file").click()  # no file was named: the page shows which there are
    row = model(page, "damaged.gguf")
    row.get_by_test_id("get").click()
    expect(row.get_by_test_id("why")).to_have_attribute("data-reason", "fetch.wrong_hash")
    torn = model(page, "torn.gguf")
    expect(torn.get_by_test_id("plan")).to_have_attribute("data-fits", "no")
    expect(torn.get_by_test_id("use")).to_have_count(0)
    assert page.evaluate(WIDER) <= 0
    look(page, "troubles")
    row.get_by_test_id("cancel").click()
    expect(row).to_have_count(0)
    torn.get_by_test_id("remove").click()
    look(page, "remove")
    torn.get_by_test_id("remove-really").click()
    expect(torn).to_have_count(0)
    assert not (disk.folder / "torn.gguf").exists()
