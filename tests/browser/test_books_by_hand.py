"""Lorebooks in a real browser: brought along, changed, tried, attached to a story, seen at work; wide and narrow."""

import json
import re

import pytest
from chat_page import VIEWS, ChatPage
from playwright.sync_api import expect
from test_chat_by_hand import chat_id, menu
from test_house_pages import NAMELESS, PALE, TINY

from store import chats
from store.lore import books as lorebooks

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
WORLD = {
    "name": "The deep",
    "entries": {
        "0": {"key": ["kraken", "海怪"], "comment": "Of krakens", "content": "The kraken fears {{user}}.", "sticky": 2},
        "1": {"key": ["/squids?/i"], "content": "Squids write with ink.", "vectorized": True},
        "2": {"key": [], "content": "The sea is red.", "constant": True, "comment": "The sea"},
    },
}


def settled(page):
    """Nothing on the page is nameless, tiny, pale, or wider than the window."""
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(TINY) == []
    assert page.evaluate(PALE) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize(("view", "scheme"), [("1280", "light"), ("390", "dark")])
def test_a_book_from_file_to_story(sit, books, tmp_path, view, scheme):
    chat = sit(view)
    page = chat.page
    page.emulate_media(color_scheme=scheme)
    story = chat_id(chat)
    file = tmp_path / "the deep.json"
    file.write_text(json.dumps(WORLD))
    page.goto(f"{chat.address}/")
    chat.to_books.click()
    settled(page)
    chat.book_file.set_input_files(file)
    chat.book_send.click()
    expect(chat.entry).to_have_count(3)
    settled(page)
    chat.try_text.fill("A SQUID and a 海怪!")
    chat.try_send.click()
    expect(chat.woken).to_have_count(2)
    expect(chat.woken.first).to_contain_text("Of krakens")
    settled(page)
    chat.entry.filter(has_text="Of krakens").click()
    assert chat.page.locator(".wrong").count() == 0
    chat.entry_content.fill("The kraken fears nobody but {{user}}.")
    chat.timing.locator("summary").click()
    settled(page)
    chat.sticky.fill("4")
    chat.save_entry.click()
    expect(chat.said).to_have_attribute("data-code", "entry")
    (kept,) = [one for one in lorebooks.list_books(books, owner_of(books, story)) if one.id in page.url]
    assert kept.data["entries"]["0"] == WORLD["entries"]["0"] | {
        "content": "The kraken fears nobody but {{user}}.",
        "sticky": 4,
    }
    chat.open(story)
    chat.setup_button.click()
    chat.page.get_by_label("The deep").last.check()
    expect(chat.setup_kept).to_have_text("Saved")
    chat.page.keyboard.press("Escape")
    chat.told("Is there a kraken?")
    for _ in range(2):  # once as the stream left it, once as a new page has it
        menu(chat, 2, "added")
        expect(chat.added_list.locator("li")).to_have_count(2)
        expect(chat.added_list).to_contain_text(
            re.compile("Of krakens.*triggered by “kraken” · The deep · .* tokens", re.S)
        )
        expect(chat.added_list).to_contain_text("always active")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        page.keyboard.press("Escape")
        expect(chat.added).to_have_count(0)
        chat.reload()
    chat.told("And now?")
    menu(chat, 4, "added")
    expect(chat.added_list).to_contain_text("there already")
    lorebooks.delete_book(books, kept.owner_id, kept.id)


def owner_of(books, story):
    return chats.load_story(books, story).chat.owner_id


def test_the_pages_work_without_scripts(stack, browser, people, books):
    user, cookies = people(0)
    kept = lorebooks.add_book(books, user, WORLD, "Quiet")
    context = browser.new_context(**VIEWS["390"], storage_state=cookies, java_script_enabled=False)
    chat = ChatPage(context.new_page(), stack.address)
    chat.page.goto(f"{stack.address}/books/{kept.id}")
    chat.new_entry.click()
    chat.entry_name.fill("Whales")
    chat.entry_keys.fill("whale\n鲸")
    chat.entry_content.fill("They sing.")
    chat.save_entry.click()
    expect(chat.entry).to_have_count(4)
    chat.entry.filter(has_text="Whales").click()
    chat.delete_entry.click()
    chat.delete_entry_really.click()
    expect(chat.entry).to_have_count(3)
    chat.delete_book.click()
    chat.delete_book_really.click()
    expect(chat.said).to_have_attribute("data-code", "book-gone")
    context.close()
    assert lorebooks.list_books(books, user) == ()
