"""A story from another program by hand: dropped or chosen, its report, talked to, taken along, brought in again."""

import base64
import json
import sys
from pathlib import Path

import pytest
from chat_page import VIEWS, ChatPage
from playwright.sync_api import expect
from test_house_pages import NAMELESS, PALE, TINY

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "store"))

from chat_file_cases import HEADER, LINES, jsonl_of

from store import accounts

pytestmark = pytest.mark.browser
STORY = jsonl_of(HEADER | {"character_name": "Mara Quill"}, *LINES)
DROP = """(given) => {
  const bytes = Uint8Array.from(atob(given.data), (letter) => letter.charCodeAt(0)), files = new DataTransfer();
  files.items.add(new File([bytes], given.name));
  const tell = (name) => document.body.dispatchEvent(
    new DragEvent(name, { bubbles: true, cancelable: true, dataTransfer: files }));
  tell("dragenter");
  const seen = !document.getElementById("dropzone").hidden;
  tell("dragover");
  tell("drop");
  return seen;
}"""


@pytest.fixture
def visit(stack, browser, people):
    """`visit(view, path)`: a window of somebody on a page."""
    windows = []

    def go(view, path, number=3, **options):
        page = browser.new_context(
            **VIEWS[view], storage_state=people(number)[1], reduced_motion="reduce", **options
        ).new_page()
        windows.append(page)
        page.goto(stack.address + path)
        return page

    yield go
    for page in windows:
        page.context.close()


def drop(page, name, data):
    with page.expect_navigation():
        assert page.evaluate(DROP, {"name": name, "data": base64.b64encode(data).decode()})


def taken(page, what):
    with page.expect_download() as download:
        page.get_by_test_id(what).first.click()
    return Path(download.value.path()).read_bytes()


def test_a_story_is_dropped_told_on_taken_along_and_brought_again(stack, visit):
    page = visit("1280", "/chats")
    drop(page, "Mara.jsonl", STORY)
    expect(page.get_by_test_id("said")).to_have_attribute("data-code", "chat-brought")
    expect(page.get_by_test_id("verdict")).to_have_count(3)
    chat = ChatPage(page, stack.address)
    page.get_by_test_id("open-story").click()
    chat.rest()
    expect(page.get_by_test_id("message").first).to_contain_text("Hello.")
    chat.told("And then?")
    expect(page.get_by_test_id("message")).to_have_count(len(LINES) - 1 + 2)
    page.get_by_test_id("setup-button").click()
    whole = taken(page, "take-json")
    rows = [json.loads(line) for line in taken(page, "take-jsonl").splitlines()]
    assert rows[1 : len(LINES) + 1] == LINES
    assert rows[len(LINES) + 1]["mes"] == "And then?"
    page.goto(stack.address + "/chats/bring")
    drop(page, "story.json", whole)
    page.get_by_test_id("open-story").click()
    chat.rest()
    page.get_by_test_id("setup-button").click()
    assert taken(page, "take-json") == whole
    assert chat.errors == []


@pytest.mark.parametrize("view", VIEWS)
def test_every_page_of_it_can_be_read_and_reached(stack, visit, view):
    page = visit(view, "/chats/bring", number=4)
    page.get_by_test_id("chats-file").set_input_files(
        [{"name": "Mara.jsonl", "mimeType": "", "buffer": STORY}, {"name": "x.jsonl", "mimeType": "", "buffer": b"?"}]
    )
    page.get_by_test_id("bring-send").click()
    expect(page.get_by_test_id("arrival")).to_have_count(2)
    expect(page.get_by_test_id("refused")).to_be_visible()
    for step in ("here", "to-report", "shelf"):
        if step == "to-report":
            page.get_by_test_id(step).click()
        if step == "shelf":
            page.goto(stack.address + "/chats")
            page.get_by_test_id("story-more").first.click()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(PALE) == []
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(TINY) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_scripts(visit, stack):
    page = visit("390", "/chats/bring", number=5, java_script_enabled=False)
    page.get_by_test_id("with").select_option(label="Mara Quill")
    page.get_by_test_id("chats-file").set_input_files(
        {"name": "m.jsonl", "mimeType": "", "buffer": jsonl_of(HEADER, *LINES)}
    )
    page.get_by_test_id("bring-send").click()
    expect(page.get_by_test_id("verdict").first).to_be_visible()
    page.get_by_test_id("open-story").click()
    expect(page.get_by_test_id("message").first).to_contain_text("Hello.")


# Files of so many MB, chosen or dropped. Made in the page: nothing of that size has to come from here.
CHOOSE = """([sizes, dropped]) => {
  const files = new DataTransfer();
  sizes.forEach((mb, n) => files.items.add(new File([new Uint8Array(mb * 2 ** 20)], `${n}.jsonl`)));
  const field = document.querySelector("form[data-drop] input[type=file]");
  if (dropped) return document.body.dispatchEvent(
    new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: files }));
  field.files = files.files;
  field.dispatchEvent(new Event("change", { bubbles: true })); }"""


@pytest.mark.parametrize("view", VIEWS)
def test_files_that_are_too_large_together_do_not_set_out(visit, view):
    page = visit(view, "/chats/bring", number=4)
    sent = []
    page.on("request", lambda one: sent.append(one.url) if one.method == "POST" else None)
    page.evaluate(CHOOSE, [[30, 19], False])
    told = page.get_by_test_id("too-much")
    expect(told).to_have_text("These 2 files have 49 MB together, and at most 48 MB can come at once: choose fewer.")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_test_id("bring-send").click()
    expect(told).to_be_visible()
    page.evaluate(CHOOSE, [[1], False])
    expect(told).to_have_count(0)
    page.goto(page.url.removesuffix("/bring"))
    page.evaluate(CHOOSE, [[49], True])
    expect(told).to_have_text("This file is too large: it has 49 MB, and at most 48 MB can come at once.")
    assert sent == []


def test_they_do_not_in_chinese_either(visit, books, people):
    accounts.set_preferences(books, people(6)[0], locale="zh")
    page = visit("390", "/chats/bring", number=6)
    page.evaluate(CHOOSE, [[30, 19], False])
    expect(page.get_by_test_id("too-much")).to_have_text("这 2 个文件一共 49 MB，一次最多 48 MB：请少选一些。")
    expect(page.locator("#chats-hint")).to_contain_text("一次最多 10 个文件，一共 48 MB")
