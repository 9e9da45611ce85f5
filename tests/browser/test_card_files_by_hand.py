"""A card as a person has it: dragged in, its report read, talked to, taken along, and brought in again."""

import base64
import itertools
import json
import sys
from pathlib import Path

import pytest
from chat_page import VIEWS, ChatPage
from playwright.sync_api import expect

from store import characters
from store.accounts import get_user
from store.cards.files import read_card
from store.cards.stored_card import envelope

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "store"))

from card_files import DATA, as_json, as_png, v2, v3

pytestmark = pytest.mark.browser
NUMBERS = itertools.count(71)  # people who have no characters yet
# What a browser does when somebody lets files fall onto the page.
DRAG = """([kind, files]) => {
  const held = new DataTransfer();
  for (const [name, base64] of files) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    held.items.add(new File([bytes], name));
  }
  for (const type of kind) document.body.dispatchEvent(
    new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: held })); }"""


@pytest.fixture(params=VIEWS)
def library(request, stack, browser, books, people):
    """The first page of somebody new, on a desktop and on a phone: (page, who)."""
    stack.forget_rate_limits()
    owner, cookies = people(next(NUMBERS))
    page = browser.new_context(**VIEWS[request.param], storage_state=cookies, accept_downloads=True).new_page()
    window = ChatPage(page, stack.address)
    page.goto(stack.address)
    yield window, get_user(books, owner)
    page.context.close()
    assert window.strangers == [], "a request has left the server's own origin"
    assert [line for line in window.errors if "status of 422" not in line] == []


def drag(page, kinds, *files):
    page.evaluate(DRAG, [kinds, [[name, base64.b64encode(data).decode()] for name, data in files]])


def mine(books, who):
    own = (one for one in characters.list_characters(books, who) if one.owner_id == who.id)
    return sorted(own, key=lambda one: one.created_at)


def taken_along(page, ending):
    page.get_by_test_id("take-along").click()
    with page.expect_download() as download:
        page.get_by_test_id(f"export-{ending}").click()
    assert download.value.suggested_filename == f"Mo.{ending}"
    return Path(download.value.path()).read_bytes()


def test_a_card_is_dragged_in_talked_to_taken_along_and_brought_in_again(library, books):
    window, who = library
    page, card = window.page, v3(their={"own": [1, None, 0.5]})
    expect(window.dropzone).to_be_hidden()
    drag(page, ["dragenter", "dragover"], ("Mo.png", as_png(card)))
    expect(window.dropzone).to_be_visible()
    drag(page, ["dragleave"], ("Mo.png", as_png(card)))
    expect(window.dropzone).to_be_hidden()
    drag(page, ["dragenter", "dragover", "drop"], ("Mo.png", as_png(card, b"ccv3")))

    expect(page.get_by_role("heading", level=1)).to_have_text("Import report: Mo")
    for verdict, word in (
        ("applied", "Description"),
        ("approximated", "Depth prompt"),
        ("kept", "their"),
    ):
        expect(page.locator(f"[data-verdict={verdict}]")).to_contain_text(word)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    window.rating.select_option("teen")
    window.settle.click()

    window.begin.click()
    window.rest()
    window.told("Do you like fish?")
    assert window.messages()[0]["words"].startswith("Meow, ")
    assert window.roles() == ["character", "user", "character"]

    (mo,) = mine(books, who)
    assert (mo.name, mo.rating) == ("Mo", "teen")
    for ending in ("json", "png"):
        page.goto(f"{window.address}/characters/{mo.id}")
        out = taken_along(page, ending)
        assert envelope(read_card(out, "x").card) == card
        page.goto(window.address)
        drag(page, ["dragenter", "drop"], (f"again.{ending}", out))
        expect(window.arrival).to_contain_text("You have this character already.")
    window.second_copy.click()
    expect(window.finding.first).to_be_visible()
    first, second = mine(books, who)
    assert (second.name, envelope(second.card)) == (first.name, envelope(first.card))


def test_several_files_by_keyboard_and_one_without_a_name(library, books):
    window, who = library
    page = window.page
    window.bring_character.focus()
    page.keyboard.press("Enter")
    nameless = {**DATA, "name": ""}
    window.cards.set_input_files(
        [
            {"name": "my_cat.json", "mimeType": "application/json", "buffer": as_json(v3(nameless))},
            {"name": "photo.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\n"},
            {"name": "Mo.json", "mimeType": "application/json", "buffer": json.dumps(v2()).encode()},
        ]
    )
    window.bring_send.press("Enter")
    expect(window.arrival).to_have_count(3)
    expect(window.refused).to_have_text("This file is cut off: its end is missing. Copy or download it again.")
    window.to_report.first.click()
    expect(window.name).to_have_value("my cat")
    expect(window.name).to_have_accessible_description("The card has no name. What are they called?")
    window.name.fill("Momo")
    window.settle.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Momo")
    window.to_report.click()
    expect(window.name).to_have_accessible_description("")
    assert [one.name for one in mine(books, who)] == ["Momo", "Mo"]
