"""Hostile texts in files that people bring, and on the pages of the admin: none becomes code in a real Chromium.

Cards, lorebooks and chat files have every text in every field, in the names of unknown fields and as the names of the
files. To add a field: put it into `card`, `book` or `story`, and open the page that shows it.
"""

import itertools
import json
import uuid

import pytest
from chat_page import ChatPage
from hostile_house import CLEAN, NAME, Victim, batches, packs
from hostile_texts import TEXTS, short
from playwright.sync_api import expect

from store import accounts, characters, chats, site_state, turns
from store.broker import queue, registry
from store.broker.registry import EngineView, WorkerView
from store.bundled import character_id
from store.lore import books as lorebooks

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

AT_ONCE = 10  # files
NAMES_OF_FILES = itertools.cycle([text for text in short(60) if not set(text) & set("/\\")])


def upload(name, value):
    return {"name": name, "mimeType": "application/json", "buffer": json.dumps(value).encode()}


def card(name, given):
    """A card in which all of these stand in every field, known or not."""
    all_of_them = "\n\n".join(given)
    one = ("description", "personality", "scenario", "first_mes", "mes_example", "creator_notes", "system_prompt")
    many = ("alternate_greetings", "group_only_greetings", "tags", "source")
    more = {"post_history_instructions": all_of_them, "creator": all_of_them, "character_version": given[0]}
    unknown = dict(zip(given, given, strict=True))
    assets = [{"type": text, "uri": text, "name": text, "ext": text} for text in given]
    extensions = {"depth_prompt": {"prompt": all_of_them, "depth": given[0]}, **unknown}
    data = {**dict.fromkeys(one, all_of_them), **{name: list(given) for name in many}, **more, **unknown}
    data |= {"name": name, "nickname": given[-1], "creator_notes_multilingual": unknown, "assets": assets}
    data |= {"extensions": extensions, "character_book": book(name, given)}
    return {"spec": "chara_card_v3", "spec_version": given[0], "data": data, **unknown}


def book(name, given):
    """A lorebook with an entry for each of these, in all of its fields."""
    fields = ("content", "comment", "name", "group", "automationId", "outletName", "position")
    entries = [
        {**dict.fromkeys(fields, text), "keys": [text, text.lower()], "secondary_keys": [text], "selective": True}
        | {"use_regex": bool(place % 2), "enabled": True, "insertion_order": place, "extensions": {text: text}}
        for place, text in enumerate(given)
    ]
    return {"name": name, "description": "\n".join(given), "extensions": {given[0]: given[0]}, "entries": entries}


def story(given):
    """A chat file of another program in which each of these is a message, a name, a wording and an unknown field."""
    head = {"user_name": NAME, "character_name": NAME, "create_date": given[0]}
    meta = {"chat_metadata": {"note_prompt": "\n".join(given), **dict(zip(given, given, strict=True))}}
    told = [
        {"name": text, "is_user": bool(place % 2), "is_system": text if place % 5 == 0 else False, "mes": text}
        | {"send_date": text, "swipes": [text, text * 2], "swipe_id": 0, "extra": {"type": text, text: text}}
        | {text: text, "title": text, "force_avatar": text}
        for place, text in enumerate(given)
    ]
    return b"\n".join(json.dumps(row).encode() for row in [{**head, **meta}, *told])


def bring(stack, victim, path, field, send, files):
    """Upload these on a page; the page that comes then is unharmed."""
    stack.forget_rate_limits()
    page = victim.open(path).page
    page.get_by_test_id(field).set_input_files(files)
    with page.expect_navigation():
        page.get_by_test_id(send).click()
    victim.unharmed()


def mine(books, mallory):
    return {one.id for one in characters.list_characters(books, mallory) if one.owner_id == mallory.id}


def test_cards_that_are_brought(stack, books, mallory, victim):
    before = mine(books, mallory)
    full = [upload(f"{next(NAMES_OF_FILES)}.json", card(NAME, some)) for some in batches(TEXTS, 28)]
    for files in batches(full, AT_ONCE):
        bring(stack, victim, "/characters/bring", "cards", "bring-send", files)
    made = mine(books, mallory) - before
    assert len(made) == len(full)
    for one in made:
        victim.open(f"/characters/{one}/report").unharmed()
        assert victim.count("finding") > 3
        victim.open(f"/characters/{one}").unharmed()
        assert victim.count("greeting") >= 1
        victim.open(f"/characters/{one}/edit").unharmed()
        victim.open(f"/books/of-{one}").unharmed()
        assert victim.count("entry") > 20
        victim.open(f"/books/of-{one}/entries/3").unharmed()
    chat = chats.create_chat(books, mallory.id, one, NAME)
    ChatPage(victim.page, victim.address).open(chat.id)
    victim.unharmed()
    victim.open("/").unharmed()


def test_names_of_cards_and_of_their_files(stack, books, mallory, victim):
    names = short(80)
    files = [
        upload(f"{next(NAMES_OF_FILES)}.json", card(name, [f"{place}: {name}"])) for place, name in enumerate(names)
    ]
    refused = [{"name": f"{next(NAMES_OF_FILES)}.json", "mimeType": "", "buffer": b"no card"} for _ in range(AT_ONCE)]
    before = mine(books, mallory)
    for some in [*batches(files, AT_ONCE), refused, files[:2]]:
        bring(stack, victim, "/characters/bring", "cards", "bring-send", some)
        assert victim.count("arrival") in (len(some), 0)  # one alone leads to its report
    assert victim.count("second-copy") == 2  # those are here already
    made = mine(books, mallory) - before
    assert len(made) == len(names)
    for one in sorted(made)[:10]:
        victim.open(f"/characters/{one}/report").unharmed()
    victim.open("/").unharmed()
    victim.open("/chats/bring").unharmed()


def test_lorebooks_that_are_brought(stack, books, mallory, victim):
    whole = upload(f"{next(NAMES_OF_FILES)}.json", book(NAME, TEXTS))
    by_number = {str(place): {"key": [text], "keysecondary": [text], "comment": text, "content": text, text: text}
                 for place, text in enumerate(TEXTS)}  # fmt: skip
    world = upload(f"{next(NAMES_OF_FILES)}.json", {"entries": by_number, **dict(zip(TEXTS, TEXTS, strict=True))})
    unnamed = [upload(f"{next(NAMES_OF_FILES)}.json", {"entries": []}) for _ in range(AT_ONCE - 1)]
    named = [upload("book.json", book(name, [name])) for name in short(80)[::4]]
    wrong = [upload(f"{next(NAMES_OF_FILES)}.json", {"no": "book"}) for _ in range(AT_ONCE)]
    for files in ([whole], [world], unnamed, *batches(named, AT_ONCE), wrong):
        bring(stack, victim, "/books", "book-file", "book-send", files)
    assert victim.count("wrong") == len(wrong)
    kept = lorebooks.list_books(books, mallory.id)
    assert len(kept) == 2 + len(unnamed) + len(named)
    large = [one for one in kept if len(one.data["entries"]) > 200]
    assert len(large) == 2
    for one in large:
        for text in packs(19_000):
            page = victim.open(f"/books/{one.id}").page
            page.get_by_test_id("try-text").fill(text)
            with page.expect_navigation():
                page.get_by_test_id("try-send").click()
            victim.unharmed()
            assert victim.count("woken") > 0
    chat = chats.create_chat(books, mallory.id, character_id("mara"), NAME)
    ChatPage(victim.page, victim.address).open(chat.id).setup_button.click()
    victim.unharmed()


def test_entries_of_a_lorebook_in_their_form(stack, books, mallory, victim):
    data = book(NAME, ["\n\n".join(some) for some in batches(TEXTS, 12)])
    for entry, some in zip(data["entries"], batches(TEXTS, 12), strict=True):
        entry |= {"keys": list(some), "secondary_keys": list(some)}
    kept = lorebooks.add_book(books, mallory.id, data, NAME)
    page = victim.page
    for place in range(len(data["entries"])):
        victim.open(f"/books/{kept.id}/entries/{place}").unharmed()
    page.get_by_test_id("entry-content").fill("x" * 100)
    page.get_by_test_id("entry-keys").fill(", ".join(CLEAN[:20]))
    page.get_by_test_id("save-entry").click()
    page.wait_for_load_state()
    victim.unharmed()


def test_stories_that_are_brought(stack, books, mallory, victim):
    chosen = characters.save_character(books, mallory, {"name": NAME, "first_mes": "Hello."})
    before = {one.id for one in chats.list_chats(books, mallory.id)}
    wrong = [{"name": f"{next(NAMES_OF_FILES)}.jsonl", "mimeType": "", "buffer": b"{]"} for _ in range(5)]
    file = {"name": f"{next(NAMES_OF_FILES)}.jsonl", "mimeType": "", "buffer": story(TEXTS)}
    bring(stack, victim, "/chats/bring", "chats-file", "bring-send", [file, *wrong])
    assert victim.count("refused") == len(wrong)
    ours = whole_story(stack, victim, books, mallory, chosen)
    bring(stack, victim, "/chats/bring", "chats-file", "bring-send", [ours])
    assert victim.page.get_by_test_id("refused").all_inner_texts() == []
    new = {one.id for one in chats.list_chats(books, mallory.id)} - before
    assert len(new) == 3  # the two that were brought, and the one that was taken along before
    for one in new:
        victim.open(f"/chat/{one}/report").unharmed()
        chat = ChatPage(victim.page, victim.address).open(one)
        chat.scroll_to_the_beginning()
        victim.unharmed()
    victim.open("/chats").unharmed()


def whole_story(stack, victim, books, mallory, character):
    """A story of this house with hostile texts wherever a file of ours has one, as a file."""
    chat = chats.create_chat(books, mallory.id, character.id, NAME)
    notes = list(packs(3900))
    chats.change_chat(books, mallory.id, chat.id, title=NAME, author_note=notes[0], reference=notes[1])
    taken = victim.page.request.get(f"{stack.address}/chat/{chat.id}/story.json", max_retries=3).json()
    facts = [{"name": text, "value": text, "unit": text[:40]} for text in CLEAN if len(text) <= 200]
    statuses = itertools.cycle(batches(facts, 60))
    roles = itertools.cycle(("user", "character", "narrator", "system"))
    taken["messages"] = [
        {
            "role": role,
            "name": name,
            "created_at": 1.0,
            "wordings": [
                {"text": text, "created_at": 1.0, "hint": text, "finish": NAME, "status": next(statuses)},
                {"text": text, "created_at": 1.0},
            ],
        }
        for role, name, text in zip(roles, itertools.cycle(short(80)), CLEAN, strict=False)
    ]
    return upload(f"{next(NAMES_OF_FILES)}.json", taken)


@pytest.fixture
def quiet(stack, books):
    """The queue is paused, so that who waits goes on waiting; in the end everything is as before."""
    with stack.redis() as redis:
        queue.pause(books, redis)
        yield redis
        registry.retire(redis, NAME)
        site_state.announce(books, "")
        queue.resume(books, redis)


def test_the_admins_page(stack, books, crowd, victim, quiet):
    """Who waits, who has used how much, and what the file of a model says of itself."""
    strange = EngineView(model_name="".join(CLEAN[:40]), kind=NAME, kv_type=NAME, n_turns=1)
    quiet_one = WorkerView(NAME, NAME, 1, 10**6, (), 1.0, host=NAME, engine=strange)
    registry.announce(quiet, quiet_one, ttl_s=120)
    for person in crowd[2:32]:
        chat = chats.create_chat(books, person.id, character_id("mara"), person.name)
        turns.begin_turn(books, person.id, turns.TurnCommand(uuid.uuid4().hex, chat.id, "chat", chat.revision, NAME))
    page = victim.open("/admin").page
    expect(page.get_by_test_id("in-line")).to_have_count(30)
    expect(page.get_by_test_id("usage-row").filter(has_text=crowd[2].name).first).to_be_visible()
    with page.expect_response("**/admin/now**"):
        victim.unharmed()
    victim.unharmed()
    page.get_by_test_id("usage-row").first.get_by_role("link").click()
    victim.unharmed()


def test_the_line_for_everybody(stack, books, crowd, victim, quiet):
    chat = chats.create_chat(books, crowd[0].id, character_id("mara"), NAME)
    page = ChatPage(victim.page, victim.address).open(chat.id)
    token = victim.page.locator("input[name=csrf_token]").first.get_attribute("value")
    for line in packs(site_state.MAX_ANNOUNCEMENT, [" ".join(text.split()) for text in CLEAN if len(text) < 280]):
        form = {"text": line, "csrf_token": token}  # as the admin's page does: one written into the database waits 3 s
        sent = victim.page.request.post(f"{stack.address}/admin/announcement", form=form, max_redirects=0)
        assert sent.status == 302
        if told := site_state.read(books).announcement:
            expect(page.announcement.locator("p")).to_have_text(told.text)  # by the web socket
        victim.unharmed()
    form = victim.open("/admin").page
    form.get_by_test_id("line").fill(NAME * 5)
    form.get_by_test_id("announce").click()
    expect(form.get_by_test_id("announcement")).to_contain_text(NAME)
    victim.unharmed()


def test_links_for_new_passwords_and_invitations(stack, browser, books, crowd, victim):
    stranger = Victim(browser, stack.address)
    page = victim.open("/people").page
    for person in crowd[1:9]:
        stack.forget_rate_limits()
        guest = page.get_by_test_id("guest").filter(has=page.get_by_text(person.name, exact=True)).first
        if guest.get_attribute("open") is None:
            guest.locator("summary").first.click()
        guest.get_by_test_id("reset-person").click()
        link = page.get_by_test_id("fresh-reset").get_by_test_id("invitation-link").input_value()
        victim.unharmed()
        stranger.page.goto(link)
        stranger.unharmed()
        stranger.page.get_by_test_id("reset-form").evaluate("(form) => { form.noValidate = true; }")
        stranger.page.get_by_test_id("new-password").fill("short")
        stranger.page.get_by_test_id("reset").click()
        stranger.page.get_by_test_id("new-password-error").wait_for()
        stranger.unharmed()
    for text in short(80)[::6]:
        stack.forget_rate_limits()
        stranger.open(f"/reset/{quoted(text)}").unharmed()
    victim.open("/people").page.get_by_test_id("old-invitations").click()
    victim.unharmed()
    assert accounts.list_invites(books)
    stranger.page.context.close()


def quoted(text):
    return "".join(f"%{byte:02x}" for byte in text.encode()).replace("%2f", "_")
