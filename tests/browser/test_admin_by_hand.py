"""The admin's page in a real browser: it renews itself, pauses the queue for everybody, and tells everybody a line."""

import itertools

import pytest
from chat_page import VIEWS, leave_clean, sign_in, watched
from playwright.sync_api import expect
from two_browsers import PASSWORD

from store import accounts, site_state
from store.broker import queue
from web.auth import passwords

pytestmark = pytest.mark.browser
NUMBERS = itertools.count(1)
SIZES = {**VIEWS, "360": {**VIEWS["390"], "viewport": {"width": 360, "height": 740}}}
WIDER = "() => document.documentElement.scrollWidth - innerWidth"


@pytest.fixture
def admin(stack, browser, books):
    """`admin(view, scheme)`: the admin's page of a new admin. Looks for errors and foreign requests at the end."""
    pages = []

    def enter(view="1280", scheme="light"):
        name = f"Greta {next(NUMBERS)}"
        stack.forget_rate_limits()
        accounts.sign_up(books, accounts.create_invite(books, "admin")[1], name, passwords.hash_password(PASSWORD))
        page = watched(browser.new_context(**SIZES[view], color_scheme=scheme).new_page(), stack.address)
        sign_in(page, stack.address, name)
        page.get_by_test_id("to-admin").click()
        page.get_by_test_id("usage").wait_for()
        pages.append(page)
        return page

    yield enter
    for page in pages:
        leave_clean(page)


@pytest.fixture
def as_before(stack, books):
    """The house is everybody's: whatever happens, in the end it goes on and says nothing."""
    yield
    site_state.announce(books, "")
    with stack.redis() as redis:
        queue.resume(books, redis)


@pytest.mark.timeout(180)
def test_a_pause_stops_everybody_and_lets_everybody_go_on(admin, sit, as_before):
    page, chat = admin(), sit("390")
    page.get_by_test_id("pause").click()
    expect(page.locator("[data-testid=said][data-code=paused]")).to_be_visible()
    expect(chat.outage).to_contain_text("The storyteller rests")
    expect(chat.outage.locator(".away")).to_be_hidden()
    chat.say("Are you there?")
    line = page.get_by_test_id("in-line")
    expect(line.filter(has_text="Ada 0")).to_contain_text("paused")  # by itself, without a reload
    expect(page.get_by_test_id("outage")).to_be_visible()
    page.get_by_test_id("resume").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("pause")).to_be_visible()
    expect(chat.outage).to_be_hidden()
    chat.rest()
    expect(chat.message.last).to_contain_text("heard: Are you there?")
    expect(page.get_by_test_id("usage-row").filter(has_text="Ada 0").locator("td").first).not_to_have_text("0")


@pytest.mark.timeout(180)
def test_a_line_reaches_open_chats_and_stays_away_where_it_was_put_away(admin, sit, as_before):
    page, chat = admin(), sit("390")
    page.get_by_test_id("line").fill("Soup at <eight>")
    page.get_by_test_id("announce").click()
    expect(chat.announcement).to_contain_text("Soup at <eight>")
    expect(page.get_by_test_id("announcement")).to_contain_text("Soup at <eight>")
    chat.put_away.focus()
    chat.page.keyboard.press("Enter")
    expect(chat.announcement).to_be_hidden()
    chat.page.reload()
    chat.rest()
    expect(chat.announcement).to_be_hidden()
    chat.back.click()
    chat.characters.wait_for()
    expect(chat.announcement).to_have_count(0)
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.get_by_test_id("put-away").click()
    expect(page.get_by_test_id("announcement")).to_be_hidden()
    page.goto(f"{page.address}/settings")
    expect(page.get_by_test_id("announcement")).to_have_count(0)
    page.goto(f"{page.address}/admin")
    page.get_by_test_id("line").fill("Soup at nine")
    page.get_by_test_id("announce").click()
    expect(page.get_by_test_id("announcement")).to_contain_text("Soup at nine")


@pytest.mark.parametrize("view", SIZES)
def test_the_page_fits_renews_itself_and_rests_while_somebody_reads_in_it(admin, view):
    page = admin(view, "dark" if view == "390" else "light")
    expect(page.get_by_test_id("fresh")).to_contain_text("live")
    assert page.evaluate(WIDER) <= 0
    expect(page.get_by_test_id("worker")).to_contain_text("16,384")
    page.get_by_role("link", name="7 days").click()
    expect(page.get_by_test_id("days-7")).to_have_attribute("aria-current", "true")
    summary = page.locator("summary", has_text="The same in numbers")
    summary.click()
    with page.expect_response("**/admin/now**"):
        pass
    with page.expect_response("**/admin/now**"):
        expect(page.get_by_test_id("days-table")).to_be_visible()
    expect(page.get_by_test_id("days-table")).to_be_visible()
    assert page.evaluate(WIDER) <= 0


def test_a_page_whose_admin_was_signed_out_asks_no_more(admin, books):
    page = admin()
    who = accounts.find_user(books, page.get_by_test_id("whoami").inner_text())
    accounts.sign_out_everywhere(books, who.id)
    with page.expect_response(lambda one: "/admin/now" in one.url and one.status == 401):
        pass
    expect(page.get_by_test_id("fresh")).to_contain_text("no answer since")
    page.wrong.clear()  # Chromium notes the 401 there
