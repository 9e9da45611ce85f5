"""The page of models in a real browser: from the toy's line on home to the first word of another model, and back."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from chat_page import VIEWS, ChatPage, leave_clean, sign_in, watched
from playwright.sync_api import expect
from two_browsers import PASSWORD

from store import accounts, chats
from store.bundled import character_id
from store.db import Database
from tests.engine.tiny_models import llama
from tests.harness.hub import Hub
from tests.harness.huge_model import huge_model
from tests.harness.models import gemma_path
from tests.harness.stack import Stack
from web.auth import passwords

pytestmark = [pytest.mark.browser, pytest.mark.model]
GEMMA = "family/gemma-3-270m-GGUF", "gemma-3-270m-q4_k_m.gguf"
WIDER = "() => document.documentElement.scrollWidth - innerWidth"
SWITCH_MS = 90_000
CALM = {
    "lanes": 2,
    "context": 1024,
    "max_reply_tokens": 12,
    "ram_cache_mb": 64,
    "titles": False,
    "kv_type": "f16",
    "threads": 1,
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A hub of this machine: a model that works, one whose bytes are others than its hash says, one of 3 TB."""
    folder = tmp_path_factory.mktemp("hub")
    with Hub() as served:
        served.add(*GEMMA, gemma_path(), "gemma")
        served.add("family/damaged-GGUF", "damaged.gguf", llama(folder / "damaged.gguf"), sha256="ab" * 32)
        served.add("family/mountain-GGUF", "mountain.gguf", huge_model(folder / "mountain.gguf"), sha256="cd" * 32)
        yield served


@pytest.fixture(scope="module")
def home(tmp_path_factory, hub):
    """`make run` with the demo model, and nothing in the folder of models."""
    folder = tmp_path_factory.mktemp("home")
    stack = Stack(folder / "data", models_dir=folder / "models", hub_sources=hub.url, **CALM)
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


@pytest.fixture
def enter(home, browser, people):
    """`enter(name, role, view)`: the home page of somebody new. Looks for errors at the end."""
    pages = []

    def come(name, role="adult", view="1280"):
        home.forget_rate_limits()
        people[0](name, role)
        page = watched(browser.new_context(**VIEWS[view]).new_page(), home.address)
        sign_in(page, home.address, name)
        pages.append(page)
        return page

    yield come
    for page in pages:
        leave_clean(page)


@pytest.fixture
def storytellers(home, browser, people):
    """Two people, at a desk and with a phone, each in a story of theirs."""
    windows = []
    for name, view in (("Ada", "1280"), ("Bo", "390")):
        who = people[0](name)
        home.forget_rate_limits()
        page = browser.new_context(**VIEWS[view]).new_page()
        sign_in(page, home.address, name)
        chat = chats.create_chat(people[1], who.id, character_id("mara"), name)
        windows.append(ChatPage(page, home.address).open(chat.id))
    yield windows
    for window in windows:
        window.page.context.close()
        assert window.errors == []


def model(page, name):
    return page.locator(f"[data-testid=model][data-name='{name}']")


def ask_for(page, repo, file, name=""):
    page.goto(f"{page.house}/models")
    page.get_by_test_id("repo").fill(repo)
    page.get_by_test_id("path").fill(file)
    page.get_by_test_id("ask").click()
    row = model(page, name or file)
    expect(row.get_by_test_id("plan")).to_have_attribute("data-fits", "well" if name else "no")
    return row


@pytest.mark.timeout(240)
def test_from_the_toy_to_the_first_word_of_another_model_and_back(enter, storytellers, home):
    ada, bo = storytellers
    page = enter("Kim", "admin")
    expect(page.get_by_test_id("toy")).to_contain_text("This is a toy model.")
    page.get_by_test_id("toy-choose").click()
    row = ask_for(page, GEMMA[0], "*q4_k_m.gguf", GEMMA[1])
    planned = row.get_by_test_id("plan").inner_text()
    assert page.evaluate(WIDER) <= 0
    row.get_by_test_id("get").click()
    ada.say("Good evening!")
    bo.say("Is the light on?")
    row = model(page, GEMMA[1])
    expect(row.get_by_test_id("use")).to_be_visible(timeout=SWITCH_MS)
    assert row.get_by_test_id("plan").inner_text() == planned
    for chat in storytellers:
        chat.rest()
        assert [one["role"] for one in chat.messages()][-2:] == ["user", "character"]
    row.get_by_test_id("use").click()
    for chat in storytellers:
        expect(chat.outage).to_contain_text("The server changes its model")
    ada.say("What do you see?")
    bo.say("And now?")
    for chat in storytellers:
        expect(chat.outage).to_be_hidden(timeout=SWITCH_MS)
        chat.rest()
        assert chat.last()["role"] == "character"
        assert chat.last()["words"]
    expect(row.get_by_test_id("in-use")).to_have_attribute("data-state", "serving")
    expect(page.get_by_test_id("answers")).to_contain_text("emma")
    page.goto(home.address)
    expect(page.get_by_test_id("toy")).to_have_count(0)
    page.goto(f"{home.address}/models")
    page.get_by_test_id("as-started").click()
    for chat in storytellers:
        expect(chat.outage).to_contain_text("The server changes its model")
    ada.say("One more?")
    expect(page.get_by_test_id("answers")).to_have_text("The demo model, a toy", timeout=SWITCH_MS)
    for chat in storytellers:
        expect(chat.outage).to_be_hidden(timeout=SWITCH_MS)
    ada.rest()
    assert ada.last()["role"] == "character"


@pytest.mark.timeout(120)
def test_what_cannot_be_had_or_does_not_fit_says_why(enter):
    page = enter("Lena", "admin", "390")
    row = ask_for(page, "family/mountain-GGUF", "mountain.gguf")
    expect(row.get_by_test_id("plan")).to_contain_text("mountain.gguf does not fit into the memory")
    row.get_by_test_id("get").click()
    row = model(page, "mountain.gguf")
    expect(row.get_by_test_id("why")).to_have_attribute("data-reason", "fetch.disk_full")
    expect(row).to_have_attribute("data-state", "failed")
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    page.goto(f"{page.house}/models")
    page.get_by_test_id("repo").fill("family/damaged-GGUF")
    page.get_by_test_id("ask").click()
    page.get_by_test_id("take-file").click()  # no file was named: the page shows which there are
    row = model(page, "damaged.gguf")
    row.get_by_test_id("get").click()
    expect(row.get_by_test_id("why")).to_have_attribute("data-reason", "fetch.wrong_hash")
    assert page.evaluate(WIDER) <= 0
    row.get_by_test_id("cancel").click()
    expect(model(page, "damaged.gguf")).to_have_count(0)


@pytest.mark.timeout(120)
def test_a_damaged_file_in_the_folder_cannot_be_chosen_and_says_why(enter, home):
    page = enter("Mia", "admin")
    folder = home.data.parent / "models"
    folder.mkdir(exist_ok=True)
    whole = gemma_path()
    with whole.open("rb") as source, (folder / "torn.gguf").open("wb") as out:
        out.write(source.read(20 << 20))
    page.goto(f"{page.house}/models")
    row = model(page, "torn.gguf")
    expect(row.get_by_test_id("plan")).to_have_attribute("data-fits", "no")
    expect(row.get_by_test_id("use")).to_have_count(0)
    row.get_by_test_id("remove").click()
    row.get_by_test_id("remove-really").click()
    expect(model(page, "torn.gguf")).to_have_count(0)
    assert not (folder / "torn.gguf").exists()
