"""A person finds a story and what was said in it: the search, the jump to a message, the list of stories."""

import datetime as dt
import re

import pytest
from chat_page import VIEWS
from playwright.sync_api import expect

from store import accounts, chat_transfer, chats, search
from store.broker import events
from store.bundled import character_id
from store.chat_files.document import ChatDocument, DocAlternative, DocMessage
from store.stories import titles

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


def test_a_word_of_long_ago_is_found_and_shown_in_its_place(sit, people, books, stack, view):
    chat = sit(view)
    owner, _ = people(0)
    texts = [f"Line {n} of a long evening by the sea." for n in range(240)]
    texts[30] = "我们在客栈等老铁匠。"
    texts[32] = f"The lighthouses of {view} were burning."
    story = bring(books, owner, f"The long evening {view}", texts)
    chat.page.goto(f"{stack.address}/chats")
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


def test_several_stories_are_chosen_and_deleted(sit, people, books, stack, view):
    chat = sit(view)
    owner, _ = people(0)
    gone = [bring(books, owner, f"Away {n} {view}", ["Hello."]) for n in range(2)]
    chat.page.goto(f"{stack.address}/chats")
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


def test_a_second_jump_keeps_the_story_in_its_order(sit, people, books, stack):
    chat = sit("1280")
    texts = [f"Line {n} of another evening by the sea." for n in range(240)]
    story = bring(books, people(0)[0], "Back and forth", texts)
    chat.page.goto(f"{stack.address}/chat/{story}#m20")
    expect(chat.gap).to_have_count(1)
    chat.page.evaluate("location.hash = '#m110'")
    chat.until(IN_VIEW, texts[110])
    numbers = [int(one.split()[1]) for one in chat.prose.all_text_contents()]
    assert numbers == sorted(numbers)


MARK = "() => { window.isTheSame = true; }"


def test_a_title_that_the_model_gives_appears_at_once(sit, people, books, stack):
    """In the list beside another story, in the head of this one, and on the home page."""
    chat = sit("1280")
    owner, here = people(0)[0], chat.page.url.rsplit("/", 1)[1]
    other = bring(books, owner, "", ["A kettle sings."])
    home = chat.page.context.new_page()
    home.goto(stack.address)
    chat.reload()
    given = {other: "Steam and Silence", here: "The First Evening"}
    for story, title in given.items():
        assert titles.give_title(books, story, chats.get_revision(books, story), title)
    seen = [
        chat.page.locator(f"[data-testid=beside-story][data-chat='{other}'] .title"),
        chat.page.locator(f"[data-testid=beside-story][data-chat='{here}'] .title"),
        home.locator(f"a.story-link[data-chat='{other}'] .title"),
        chat.chat_title,
    ]
    with stack.redis() as redis:
        for _ in range(100):  # a line that is not up yet hears nothing
            for story in given:
                events.publish_titled(redis, owner, story)
            shown = [one.text_content() for one in seen]
            if all(any(title in text for title in given.values()) for text in shown):
                break
            home.wait_for_timeout(100)
    assert "Steam and Silence" in shown[0]
    assert "The First Evening" in shown[1]
    assert "Steam and Silence" in shown[2]
    assert shown[3] == "The First Evening"
    expect(chat.page).to_have_title("The First Evening · inglenook")
    expect(home.locator(f"a.story-link[data-chat='{other}'] .title small")).to_have_text(re.compile("with Mara Quill"))
    chat.setup_button.click()
    expect(chat.setup_name).to_have_value("The First Evening")


def test_a_server_with_other_scripts_is_loaded_whole(sit, people, books):
    """After an update a story that is fetched has markup that the scripts of the open page do not know."""
    chat = sit("1280")
    other = bring(books, people(0)[0], "After the update", ["New markup."])
    chat.reload()
    chat.page.evaluate(MARK)

    def updated(route):
        answer = route.fetch()
        route.fulfill(response=answer, body=re.sub(r"/assets/\w+/js/chat/", "/assets/newer/js/chat/", answer.text()))

    chat.page.route(f"**/chat/{other}", updated, times=1)
    chat.page.locator(f"[data-testid=beside-story][data-chat='{other}']").click()
    chat.page.wait_for_url(f"**/chat/{other}")
    chat.rest()
    expect(chat.message).to_have_text(re.compile("New markup."))
    assert not chat.page.evaluate("() => window.isTheSame")


def test_quiet_time_is_said_in_the_next_story_as_well(sit, people, books):
    owner = people(22)[0]
    now = dt.datetime.now()
    accounts.set_limits(books, owner, None, *(f"{now + dt.timedelta(minutes=n):%H:%M}" for n in (20, 500)))
    chat = sit("1280", number=22)
    other = bring(books, owner, "Late", ["It is late."])
    chat.reload()
    chat.page.locator(f"[data-testid=beside-story][data-chat='{other}']").click()
    chat.page.wait_for_url(f"**/chat/{other}")
    chat.rest()
    chat.quiet_time.evaluate("(line) => { line.dataset.state = 'unknown'; }")
    expect(chat.quiet_time).to_have_attribute("data-state", "soon")


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
