"""A family of four on four browsers, one evening: share, ask, grant, search, branch, quiet time, a swipe on the phone.

Each of the parts has tests of its own beside this one; here they meet, in the order in which a family would.
"""

import datetime as dt
import re

import pytest
from chat_page import VIEWS, ChatPage
from playwright.sync_api import expect
from test_long_evening import swipe
from two_browsers import is_ours

from store import accounts, chats, search

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
FAMILY = {"Rose": ("admin", "1280"), "Ada": ("adult", "1280"), "Theo": ("teen", "390"), "Kim": ("child", "390")}
FOX, CAPTAIN, SHADOW = "Ember Fox", "Captain Linde", "Mr Shadow"
SHOWS = "([words]) => document.querySelector('[data-testid=story]').textContent.includes(words)"


class Member:
    """One of the family, at their own device."""

    def __init__(self, name, role, page, stack, books):
        self.name, self.page, self.stack, self.wrong, self.strangers = name, page, stack, [], []
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda one: self.strangers.append(one.url) if not is_ours(one.url, stack.address) else 0)
        page.goto(f"{stack.address}/invite/{accounts.create_invite(books, role)[1]}")
        self.see("name").fill(name)
        self.see("password").fill("a long enough password")
        self.see("sign-up").click()
        self.see("characters").wait_for()
        self.id = accounts.find_user(books, name).id

    def see(self, test_id):
        return self.page.get_by_test_id(test_id)

    def home(self):
        self.page.goto(self.stack.address)
        return self

    def character(self, name):
        return self.see("character").filter(has_text=name)

    def make(self, name, rating):
        """A new character, through its form."""
        self.page.goto(f"{self.stack.address}/characters/new")
        self.see("name").fill(name)
        self.see("first_mes").fill("*looks up* Hello, {{user}}!")
        self.see("rating").select_option(rating)
        self.see("save").click()
        self.see("begin").wait_for()

    def share_with_everyone(self):
        self.see("share-open").click()
        self.see("share-house").check(force=True)
        self.see("share-save").click()
        expect(self.see("share-state")).to_have_text("with everyone here")

    def begin(self, name):
        """A story with a character of the home page."""
        self.home().character(name).get_by_test_id("begin").click()
        self.see("draft").wait_for()
        chat = ChatPage(self.page, self.stack.address)
        chat.rest()
        return chat

    def search(self, words):
        self.page.goto(f"{self.stack.address}/search")
        self.see("query").fill(words)
        self.see("query").press("Enter")
        return self.see("hit")


@pytest.fixture
def family(stack, browser, books):
    stack.forget_rate_limits()
    windows = {name: browser.new_context(**VIEWS[view]) for name, (_, view) in FAMILY.items()}
    members = {name: Member(name, FAMILY[name][0], window.new_page(), stack, books) for name, window in windows.items()}
    yield members
    for member in members.values():
        member.page.context.close()
        assert (member.name, member.wrong, member.strangers) == (member.name, [], [])


def test_an_evening(family, books):
    rose, ada, theo, kim = family.values()
    a_child_asks_and_a_parent_grants(ada, kim)
    what_is_shared_reaches_whom_it_is_rated_for(ada, theo, kim)
    story = the_teenager_swipes_and_branches(theo, books)
    each_finds_their_own_words_only(theo, kim, ada, books, story)
    quiet_time_is_kept_and_nothing_is_lost(rose, kim)
    what_is_withdrawn_stays_in_the_story(rose, ada, kim)


def a_child_asks_and_a_parent_grants(ada, kim):
    kim.see("wish-text").fill("a fox that tells jokes")
    kim.see("wish-ask").click()
    expect(kim.see("own-wish")).to_have_attribute("data-state", "open")
    ada.make(FOX, "everyone")
    wish = ada.home().see("wish").filter(has_text=kim.name)
    wish.get_by_test_id("wish-grant").click()
    expect(ada.see("said")).to_have_attribute("data-code", "granted")
    kim.home()
    expect(kim.see("wish-granted")).to_contain_text(FOX)
    chat = kim.begin(FOX)
    chat.told("Tell me a joke about the moonlight.")
    kim.story = kim.page.url
    assert chat.roles() == ["character", "user", "character"]


def what_is_shared_reaches_whom_it_is_rated_for(ada, theo, kim):
    for name, rating in ((CAPTAIN, "teen"), (SHADOW, "adult")):
        ada.make(name, rating)
        ada.share_with_everyone()
    expect(theo.home().character(CAPTAIN)).to_have_count(1)
    expect(kim.home().character(CAPTAIN)).to_have_count(0)
    for one in (theo, kim):
        expect(one.character(SHADOW)).to_have_count(0)
    expect(theo.character(FOX)).to_have_count(0)  # chosen people are chosen people


def the_teenager_swipes_and_branches(theo, books):
    """On the phone: another alternative with a finger, then a branch; the list says where it comes from."""
    chat = theo.begin(CAPTAIN)
    chat.told("The lighthouses burned in the storm.")
    swipe(chat, chat.prose.last, -120)
    chat.busy()
    chat.rest()
    expect(chat.count.last).to_have_text("2/2")
    swipe(chat, chat.prose.last, 120)
    expect(chat.count.last).to_have_text("1/2")
    story = theo.page.url
    chat.more.nth(1).click()
    chat.do_branch.click()
    theo.page.wait_for_url(lambda url: "/chat/" in url and url != story)
    chat.rest()
    chat.told("And then we sailed away.")
    theo.page.goto(f"{theo.stack.address}/chats")
    expect(theo.see("parent")).to_have_count(1)
    assert len(chats.list_chats(books, theo.id)) == 2
    return story


def each_finds_their_own_words_only(theo, kim, ada, books, story):
    while search.index_some(books):
        pass
    hits = theo.search("lighthouse")
    expect(hits.first.locator("mark").first).to_have_text("lighthouses")
    expect(kim.search("lighthouse")).to_have_count(0)
    expect(ada.search("moonlight")).to_have_count(0)
    expect(kim.search("moonlight").first).to_be_visible()
    theo.search("lighthouse").last.click()
    theo.page.wait_for_url(re.compile("/chat/"))
    ChatPage(theo.page, theo.stack.address).until(SHOWS, "The lighthouses burned in the storm.")
    kim.page.goto(story)
    expect(kim.see("error")).to_have_attribute("data-code", "not_found")


def set_quiet(rose, kim, begins, ends):
    """On the admin's page."""
    rose.page.goto(f"{rose.stack.address}/people")
    guest = rose.page.locator(f"[data-testid=guest][data-name='{kim.name}']")
    guest.locator("summary").first.click()
    guest.get_by_test_id("quiet-from").fill(begins)
    guest.get_by_test_id("quiet-until").fill(ends)
    guest.get_by_test_id("save-person").click()
    expect(rose.see("said")).to_have_attribute("data-code", "person")


def quiet_time_is_kept_and_nothing_is_lost(rose, kim):
    now = dt.datetime.now()
    begins, ends = (f"{now + dt.timedelta(hours=hours):%H:%M}" for hours in (-2, 2))
    set_quiet(rose, kim, begins, ends)
    expect(kim.home().see("quiet-time")).to_have_attribute("data-state", "now")
    kim.page.goto(kim.story)
    expect(kim.see("quiet-time")).to_contain_text(ends)
    chat = ChatPage(kim.page, kim.stack.address)
    chat.rest()
    chat.say("One more joke, please!")
    expect(chat.notice).to_contain_text(ends)
    expect(chat.draft).to_have_value("One more joke, please!")
    expect(chat.message).to_have_count(3)


def what_is_withdrawn_stays_in_the_story(rose, ada, kim):
    """The next day: the parent shares the fox no longer, and the child's story goes on as it was."""
    ada.home().character(FOX).get_by_test_id("character-page").click()
    ada.see("share-open").click()
    ada.see("share-private").check(force=True)
    ada.see("share-save").click()
    expect(ada.see("share-state")).to_have_text("only you see it")
    set_quiet(rose, kim, "", "")
    expect(kim.home().character(FOX)).to_have_count(0)
    chat = ChatPage(kim.page, kim.stack.address).open(kim.story.rsplit("/", 1)[1])
    chat.told("One more joke, please!")
    assert chat.roles() == ["character", "user", "character", "user", "character"]
