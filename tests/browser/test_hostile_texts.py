"""Hostile texts in everything that holds text, on every page that shows it, in a real Chromium: none becomes code.

Most are written through the store, where a rude client could have put them; some are typed into the forms. Nothing may
run or be refused by the security policy, nothing may leave the server's own origin, and nothing of a text may be an
element or an attribute. To add a field: fill it in `written` or in a test, and open the page that shows it.
"""

import itertools
import uuid
from urllib.parse import quote

import pytest
from chat_page import ChatPage
from hostile_house import CLEAN, NAME, STRANGE, Victim, packs
from hostile_texts import TEXTS, short

from store import accounts, characters, chats, messages, personas, texts, turns
from store.bundled import character_id
from store.errors import Failure
from store.models import Chat

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def test_there_are_enough_of_them():
    assert len(TEXTS) >= 250
    assert len(short(40)) >= 100


def test_names_of_characters_stories_and_people(books, mallory, crowd, cast, victim):
    titles = short(80)
    for number, title in enumerate(titles):
        chat = chats.create_chat(books, mallory.id, cast[number % len(cast)].id, crowd[number % len(crowd)].name)
        chats.change_chat(books, mallory.id, chat.id, title=title)
    victim.open("/").unharmed()
    assert victim.count("character") >= len(cast)
    victim.open("/chats?all=1").unharmed()
    assert victim.count("story-row") >= len(titles)
    victim.open("/people").unharmed()
    assert victim.count("guest") >= len(crowd)


def test_personas(books, mallory, victim):
    abouts = list(packs(4000))
    mine = [
        personas.save_persona(books, mallory.id, name, abouts[number % len(abouts)])
        for number, name in enumerate(name for name in short(40) if texts.clean_name(name))
    ]
    victim.open("/personas").unharmed()
    assert victim.count("persona") == len(mine)
    victim.open(f"/characters/{character_id('mara')}").unharmed()
    assert victim.count("as-persona") == len(mine)
    for one in mine[: len(abouts)]:
        victim.open(f"/personas/{one.id}").unharmed()


def test_cards(cast, victim):
    for one in (one for one in cast if one.name == "Full"):
        victim.open(f"/characters/{one.id}").unharmed()
        assert victim.count("notes") == 1
        assert victim.count("greeting") > 1
        victim.open(f"/characters/{one.id}/edit").unharmed()
        assert victim.count("greeting") > 1


def told_lore(given):
    """What a reply remembers of lorebooks: each text as the name of an entry and of its book, and as what woke it."""
    reasons = itertools.cycle(("key", "lore", "sticky", "no_room", *given[:8]))
    return [{"name": one, "book": one, "key": one, "why": next(reasons), "tokens": 3} for one in given]


@pytest.fixture(scope="module")
def told(books, mallory, cast):
    """A story in which every text is a message, an alternative, a status, a word with its likelihood and a setting."""
    chat = chats.create_chat(books, mallory.id, next(one.id for one in cast if one.name == "Full"), NAME)
    notes = list(packs(3900))
    chats.change_chat(books, mallory.id, chat.id, title=NAME, author_note=notes[0], reference=notes[1])
    chats.change_chat(books, mallory.id, chat.id, user_persona=notes[2])
    words = [{"text": text, "p": 0.5, "top": [[text, 0.5], ["<b onclick=ran()>", 0.1]]} for text in CLEAN]
    fields = [{"name": text, "value": text, "unit": text[:12]} for text in CLEAN]
    names = itertools.cycle(short(40))
    with books.session() as session:
        row = session.get_one(Chat, chat.id)
        for number, text in enumerate(CLEAN):
            role = ("user", "character", "narrator")[number % 3]
            message = messages.add_message(session, row, role, next(names), None, 1.0)
            for alternative in (text, f"{text}\n\n{text}"):
                messages.add_alternative(session, message, messages.Reply(alternative), None, 1.0)
        last = messages.active_alternative(session, message)
        last.stats = {"words": words, "lore": told_lore(CLEAN)}
        last.status = {"fields": fields, "turn": "0" * 32, "tokens": [], "model_key": ""}
    return chat


def test_a_story(told, victim):
    chat = ChatPage(victim.page, victim.address).open(told.id)
    victim.unharmed()
    chat.scroll_to_the_beginning()
    victim.unharmed()
    assert chat.message.count() > len(CLEAN)
    for number in range(3):
        chat.more.nth(-1 - number).click()
        chat.page.keyboard.press("Escape")
    chat.more.last.click()
    chat.do_why.click()
    chat.why.locator(".word").nth(3).click()
    victim.unharmed()
    assert chat.why.locator(".word").count() == len(CLEAN)
    chat.why_close.click()
    chat.more.last.click()
    chat.do_added.click()
    victim.unharmed()
    assert chat.added_list.locator("li").count() == len(CLEAN)
    chat.added_close.click()
    chat.next.last.click()
    chat.until("() => [...document.querySelectorAll('[data-testid=count]')].at(-1).textContent === '2/2'")
    victim.unharmed()
    chat.setup_button.click()
    victim.unharmed()


def test_words_that_stream(victim, told):
    """The scripts draw what is not finished yet, letter by letter, and the failures and suggestions of turns."""
    page = ChatPage(victim.page, victim.address).open(told.id).page
    script = page.evaluate(
        "new URL('../lib/prose.js', document.querySelector('script[src*=\"chat/controller\"]').src).href"
    )
    page.evaluate(
        """async ([script, texts]) => { const { draw } = await import(script);
          const box = document.createElement('div'); box.className = 'prose'; document.body.append(box);
          for (const text of texts) {
            for (let end = 1; end <= Math.min(text.length, 160); end += 7) draw(box, text.slice(0, end));
            draw(box, text); } draw(box, texts.join('\\n\\n')); }""",
        [script, CLEAN],
    )
    victim.unharmed()


def test_a_failure_and_a_suggestion(books, mallory, victim):
    chat = chats.create_chat(books, mallory.id, character_id("mara"), NAME)
    for kind, end in (("narrate", "fail"), ("suggest", "commit")):
        command = turns.TurnCommand(uuid.uuid4().hex, chat.id, kind, chats.get_revision(books, chat.id))
        turns.begin_turn(books, mallory.id, command)
        claim = turns.claim(books, command.id, "nobody", 30)
        if end == "fail":
            turns.fail(books, command.id, claim.attempt, Failure("worker_lost", {"message": "\n".join(CLEAN)}))
            page = ChatPage(victim.page, victim.address).open(chat.id)
            page.failure.wait_for()
        else:
            turns.commit(books, command.id, claim.attempt, turns.Outcome(suggestion="\n".join(CLEAN)))
            page.draft.fill("mine")
            page.reload()
            page.offer.wait_for()
        victim.unharmed()


def test_what_is_typed_into_a_story(books, mallory, victim):
    """By the box, the web socket and the worker that echoes; edited, named and undone on the page."""
    mine = characters.save_character(books, mallory, {"name": NAME, "first_mes": NAME}, tagline=NAME)
    chat = ChatPage(victim.page, victim.address).open(chats.create_chat(books, mallory.id, mine.id, NAME).id)
    first, second, *_ = packs(3000, [text for text in CLEAN if len(text) < 300])
    for text in (NAME, first):
        chat.told(text)
        victim.unharmed()
    for button in (chat.status, chat.suggest):
        button.click()
        chat.busy()
        chat.rest()
        victim.unharmed()
    chat.more.nth(1).click()
    chat.do_edit.click()
    chat.edit_text.fill(second)
    chat.edit_save.click()
    chat.edit.wait_for(state="hidden")
    victim.unharmed()
    chat.more.nth(1).click()
    chat.do_delete.click()
    chat.undo.click()
    chat.until("() => document.querySelectorAll('[data-testid=message]').length > 4")
    chat.setup_button.click()
    for box, text in ((chat.setup_name, NAME), (chat.setup_author_note, second[:3900])):
        box.fill(text)
        box.blur()
    chat.until("() => document.querySelector('[data-testid=setup-kept]').textContent === 'Saved'")
    chat.reload()
    victim.unharmed()


def test_what_is_typed_into_forms(stack, browser, crowd):
    victim = Victim(browser, stack.address).enter(crowd[1].name)
    page = victim.open("/personas/new").page
    page.get_by_test_id("name").fill("</textarea><script>ran()</script>")
    page.get_by_test_id("description").fill(next(packs(4000)))
    page.get_by_test_id("save").click()
    page.locator("[data-testid=said][data-code=persona]").wait_for()
    victim.unharmed()
    victim.open("/characters/new")
    long = next(packs(15_000))
    for field in ("name", "tagline", "tags", "description", "first_mes", "mes_example"):
        page.get_by_test_id(field).fill(NAME if field in ("name", "tagline", "tags") else long)
    page.get_by_test_id("add-status").click()
    page.get_by_test_id("status-name").fill(NAME)
    page.get_by_test_id("status-type").select_option("one_of")
    page.get_by_test_id("save").click()
    page.get_by_test_id("status-error").wait_for()  # it comes back with everything in it
    victim.unharmed()
    page.get_by_test_id("status-options").fill(f"{NAME}, <svg onload=ran()>")
    page.get_by_test_id("save").click()
    page.locator("[data-testid=said][data-code=character]").wait_for()
    victim.unharmed()
    page.context.close()


def test_searches(victim):
    for path, testid in (("/", "search-characters"), ("/chats", "search-stories")):
        field = victim.open(path).page.get_by_test_id(testid)
        field.wait_for()
        field.evaluate(
            """(field, texts) => { for (const text of texts) { field.value = text;
              field.dispatchEvent(new Event('input', { bubbles: true })); } }""",
            CLEAN,
        )
        victim.unharmed()


def test_strangers_at_the_door(stack, browser, books):
    """A name that is refused comes back in its form; so does one that is taken from an invitation."""
    stranger = Victim(browser, stack.address)
    for path in (f"/invite/{accounts.create_invite(books, 'child')[1]}", "/login"):
        for name in (NAME, '" onfocus=ran() autofocus x="'):
            stack.forget_rate_limits()
            stranger.open(path).page.get_by_test_id("name").fill(name + "\u202e")
            stranger.page.get_by_test_id("password").fill("too wrong")
            stranger.page.locator("form button.big").click()
            stranger.page.wait_for_load_state()
            stranger.unharmed()
    stranger.page.context.close()


def test_addresses(victim):
    for text in (NAME, '"><script>ran()</script>', "javascript:ran()", "//evil.example", "</title><svg onload=ran()>"):
        told = quote(text, safe="")
        for path in (
            f"/{told}",
            f"/chat/{told}",
            f"/invite/{told}",
            f"/login?next={told}",
            f"/characters/new?from={told}",
        ):
            victim.open(path).unharmed()


def test_the_watch_notices_texts_that_become_markup(stack, browser):
    """What the other tests look for would be found: here a script puts the texts into a page the wrong way."""
    careless = Victim(browser, stack.address).open("/login")
    noticed = careless.page.evaluate(
        f"""(texts) => {{ const box = document.createElement('div'); box.className = 'prose'; document.body.append(box);
          const strange = {STRANGE};
          return texts.filter((text) => {{ box.innerHTML = text; return strange().length > 0; }}).length; }}""",
        [text for text in CLEAN if "refresh" not in text],  # those would lead the page away
    )
    careless.page.wait_for_function("happened.length > 50")  # inline code that the security policy has stopped
    assert noticed > len(TEXTS) / 2
    careless.page.context.close()
