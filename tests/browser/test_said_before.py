"""What is said before it is met, and forms that come back with what was typed, by hand, on a desktop and on a phone."""

import datetime as dt

import pytest
from chat_page import VIEWS
from playwright.sync_api import expect

from store import accounts, characters, personas, site_state
from store.broker import queue

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("view", VIEWS)]
NUMBER = 21
IN_SIGHT = (
    """(one) => { const { top, bottom } = one.getBoundingClientRect(); return top >= 0 && bottom <= innerHeight; }"""
)
MO = {"name": "Mo", "first_mes": "Good evening, {{user}}.", "alternate_greetings": ["Meow, {{user}}!"]}


@pytest.fixture
def me(books, people):
    """Somebody who has no limits before and after."""
    person = accounts.get_user(books, people(NUMBER)[0])
    if not accounts.has_admin(books):
        accounts.sign_up(books, accounts.create_invite(books, "admin")[1], "Root", "nobody signs in as Root")
    yield person
    accounts.set_limits(books, person.id, None, None, None)
    accounts.set_role(books, person.id, "adult")


def in_minutes(minutes):
    return f"{dt.datetime.now() + dt.timedelta(minutes=minutes):%H:%M}"


def fits(page):
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.timeout(120)
def test_quiet_time_and_a_pause_are_said_where_one_writes(stack, books, sit, me, view):
    accounts.set_limits(books, me.id, None, in_minutes(20), in_minutes(500))
    chat = sit(view, number=NUMBER)
    expect(chat.quiet_time).to_contain_text("Minutes until then: ")
    expect(chat.quiet_time.locator("[data-when=now]")).to_be_hidden()
    fits(chat.page)
    chat.page.get_by_test_id("back").click()
    expect(chat.quiet_time).to_contain_text("time to look for a good ending")
    accounts.set_limits(books, me.id, None, in_minutes(-5), in_minutes(60))
    chat.page.go_back()
    chat.page.reload()
    expect(chat.quiet_time.locator("[data-when=now]")).to_be_visible()
    chat.say("Are you asleep?")
    expect(chat.notice).to_contain_text("It is quiet time until")
    expect(chat.draft).to_have_value("Are you asleep?")
    accounts.set_limits(books, me.id, None, None, None)
    chat.draft.fill("")
    chat.page.reload()
    expect(chat.quiet_time).to_have_count(0)
    with stack.redis() as redis:
        queue.pause(books, redis)
        try:
            chat.say("Are you there?")
            expect(chat.stage.last).to_have_text("paused: goes on later")
        finally:
            queue.resume(books, redis)
    chat.rest()
    expect(chat.message.last).to_contain_text("heard: Are you there?")
    assert site_state.read(books).paused_since is None


@pytest.mark.timeout(120)
def test_openings_follow_the_persona_and_refused_forms_come_back(books, sit, me, view):
    page = sit(view, number=NUMBER).page
    captain = personas.save_persona(books, me.id, "Ann", "A captain.")
    mo = characters.save_character(books, me, MO)
    page.goto(f"{page.url.split('/chat/')[0]}/characters/{mo.id}")
    shown = page.locator("[data-opening][data-shown]")
    expect(shown).to_have_text(f"Good evening, {me.name}.")
    page.get_by_test_id("as-persona").check()
    expect(shown).to_have_text("Good evening, Ann.")
    page.get_by_test_id("next-opening").click()
    expect(shown).to_have_text("Meow, Ann!")
    expect(page.get_by_test_id("opening-count")).to_have_text("2/2")
    page.get_by_test_id("as-name").fill("Cap")
    expect(shown).to_have_text("Meow, Cap!")
    fits(page)
    page.get_by_test_id("begin").click()
    expect(page.get_by_test_id("message")).to_contain_text("Meow, Cap!")
    personas.delete_persona(books, me.id, captain.id)

    accounts.set_role(books, me.id, "admin")
    page.goto(f"{page.url.split('/chat/')[0]}/people")
    form = page.locator(f"#person-{me.id}")
    form.locator("summary").click()
    form.get_by_test_id("minutes").fill("45")
    form.get_by_test_id("quiet-from").fill("21:00")
    form.get_by_test_id("save-person").click()
    wrong = form.get_by_test_id("person-wrong")
    expect(wrong).to_contain_text("add the other time")
    assert wrong.evaluate(IN_SIGHT)
    expect(form.get_by_test_id("minutes")).to_have_value("45")
    expect(form.get_by_test_id("quiet-from")).to_have_value("21:00")
    fits(page)
    page.goto(page.url.replace("/people", "/settings").split("#")[0])
    page.get_by_test_id("old-password").fill("not mine")
    page.get_by_test_id("new-password").fill("a long enough password")
    page.get_by_test_id("change-password").click()
    error = page.get_by_test_id("old-password-error")
    expect(error).to_have_text("This is not your password.")
    assert error.evaluate(IN_SIGHT)
    expect(page.get_by_test_id("old-password")).to_be_focused()
    page.reload()
    expect(page.get_by_test_id("change-password")).to_be_visible()
