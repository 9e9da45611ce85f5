"""A person finds a story and what was said in it: the search, the jump to a message, the list of stories."""

import re

import pytest
from chat_page import VIEWS
from playwright.sync_api import expect

from store import chat_transfer, chats, search
from store.bundled import character_id
from store.chat_files.document import ChatDocument, DocAlternative, DocMessage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

IN_VIEW = """([words]) => [...document.querySelectorAll('[data-testid=message]')].some((one) => {
  const { top, bottom } = one.getBoundingClientRect();
  return one.textContent.includes(words) && top >= 0 && bottom <= innerHeight; })"""


def _line(n, said):
    role, name = ("character", "Mara Quill") if n % 2 else ("user", "Ada")
    return DocMessage(role, name, (DocAlternative(said, 9e8 + n),), 9e8 + n)


def bring(books, owner, title, texts):
    """A story with these texts, indexed; its id."""
    lines = tuple(_line(n, one) for n, one in enumerate(texts))
    document = ChatDocument(character_name="Mara Quill", user_name="Ada", messages=lines, created_at=9e8, title=title)
    chat = chat_transfer.import_chat(books, owner, character_id("mara"), document)
    while search.index_some(books):
        pass
    return chat.id


def test_a_word_of_long_ago_is_found_and_shown_in_its_place(sit, people, books, house, view):
    chat = sit(view)
    owner, _ = people(0)
    texts = [f"Line {n} of a long evening by the sea." for n in range(240)]
    texts[30] = "我们在客栈等老铁匠。"
    texts[32] = f"The lighthouses of {view} were burning."
    story = bring(books, owner, f"The long evening {view}", texts)
    chat.page.goto(f"{house.address}/chats")
    chat.to_search.click()
    chat.query.fill(f"lighthouse {view}")
    chat.query.press("Enter")
    expect(chat.hit.first.locator("mark").first).to_have_text("lighthouses")
    chat.hit.first.click()
    chat.rest()
    chat.until(IN_VIEW, texts[32])
    expect(chat.gap).to_have_count(1)
    while chat.gap.count():
        shown = chat.message.count()
        chat.gap.click()
        chat.until("([n]) => document.querySelectorAll('[data-testid=message]').length > n", shown)
    expect(chat.message).to_have_count(240 - 12)
    said = chat.prose.all_text_contents()
    assert [one.strip() for one in said] == texts[12:]
    chat.search_story.click()
    chat.query.fill("客栈")
    chat.search.click()
    expect(chat.hit).to_have_count(1)
    expect(chat.hit.locator("mark")).to_have_text("客栈")
    chat.search_all.click()
    expect(chat.hit.first).to_be_visible()
    chats.delete_chat(books, owner, story)
    chat.query.fill("")
    chat.query.press("Enter")
    assert re.search(r"/search\?q=$", chat.page.url)
    assert chat.hit.count() == 0


@pytest.fixture(params=VIEWS)
def view(request):
    return request.param


def test_several_stories_are_chosen_and_deleted(sit, people, books, house, view):
    chat = sit(view)
    owner, _ = people(0)
    gone = [bring(books, owner, f"Away {n} {view}", ["Hello."]) for n in range(2)]
    chat.page.goto(f"{house.address}/chats")
    row = chat.page.locator(f"[data-testid=story-row][data-chat='{gone[0]}']")
    expect(row.get_by_test_id("last-line")).to_have_text("Hello.")
    expect(row.get_by_test_id("pick")).to_be_hidden()
    chat.choosing.check()
    for one in gone:
        chat.page.locator(f"[data-testid=story-row][data-chat='{one}']").get_by_test_id("pick").check()
    chat.delete_several.click()
    chat.delete_several_yes.click()
    expect(chat.said).to_have_text("The chosen stories are deleted.")
    assert not {one.id for one in chats.list_chats(books, owner)} & set(gone)


MARK = "() => { window.isTheSame = true; }"


def test_a_story_is_left_for_another_one_without_a_page_load(sit, people, books):
    """On a wide screen: the list beside the chat, the address, the back button, the drawer beside the story."""
    chat = sit("1280")
    owner, _ = people(0)
    first = chat.page.url.rsplit("/", 1)[1]
    other = bring(books, owner, "The other tale", ["A kettle sings.", "It is nearly night."])
    chat.page.evaluate(MARK)
    chat.reload()
    chat.page.evaluate(MARK)
    row = chat.page.locator(f"[data-testid=beside-story][data-chat='{other}']")
    expect(row).to_contain_text("It is nearly night.")
    row.click()
    chat.page.wait_for_url(f"**/chat/{other}")
    chat.rest()
    expect(row).to_have_attribute("aria-current", "page")
    assert [one["words"] for one in chat.messages()] == ["A kettle sings.", "It is nearly night."]
    chat.told("Is it?")
    assert chat.roles()[-2:] == ["user", "character"]
    chat.setup_button.click()
    expect(chat.setup_name).to_have_value("The other tale")
    chat.draft.fill("The story stays in reach.")
    expect(chat.story_list).to_be_hidden()
    chat.setup_close.click()
    chat.draft.fill("")
    chat.page.go_back()
    chat.page.wait_for_url(f"**/chat/{first}")
    expect(chat.message).to_have_count(1)
    chat.rest()
    chat.press("ArrowUp")
    assert chat.page.evaluate("() => window.isTheSame"), "the page was loaded anew"


def test_on_a_phone_there_is_no_list_and_the_drawer_lies_over_the_story(sit):
    chat = sit("390")
    expect(chat.story_list).to_be_hidden()
    chat.setup_button.click()
    assert chat.setup.evaluate("(one) => one.matches(':modal')")
