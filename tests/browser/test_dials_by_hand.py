"""How a story is told and who one is in it, changed by hand, on a desktop and on a phone."""

import io
import re

import pytest
from chat_page import ChatPage
from PIL import Image
from playwright.sync_api import expect

from store import chats, personas

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
SAVED = "() => document.querySelector('[data-testid=setup-kept]').textContent === 'Saved'"


def settings_of(chat, books):
    chat_id = chat.page.url.rsplit("/", 1)[1]
    return chats.load_story(books, chat_id).chat.settings


def kept(chat, books):
    chat.setup_close.click()
    chat.reload()
    return settings_of(chat, books)


def test_length_dials_and_own_presets(chat, books):
    chat.setup_button.click()
    chat.length_short.check()
    chat.advanced.locator("summary").click()
    chat.dial_top_k.fill("12")
    chat.dial_presence_penalty.fill("0.5")
    chat.dial_xtc_threshold.fill("0.25")
    chat.seed.fill("7")
    chat.stop.fill("THE END\n\\n\\n")
    chat.preset_name.fill("慢")
    chat.preset_name.dispatch_event("keydown", {"key": "Enter", "isComposing": True})  # chooses letters, no more
    chat.preset_name.fill("Slow rain")
    chat.preset_save.click()
    expect(chat.preset_says).to_have_text("Saved")
    expect(chat.own_preset).to_have_attribute("aria-pressed", "true")
    told = {"top_k": 12, "presence_penalty": 0.5, "xtc_threshold": 0.25, "seed": 7, "stop": ["THE END", "\n\n"]}
    assert kept(chat, books) == {**told, "reply_tokens": 100}
    chat.setup_button.click()
    expect(chat.length_short).to_be_checked()
    assert chat.stop.input_value() == "THE END\n\\n\\n"
    chat.preset_careful.click()
    expect(chat.own_preset).to_have_attribute("aria-pressed", "false")
    chat.length_own.check()
    chat.reply_tokens.fill("250")
    assert kept(chat, books)["reply_tokens"] == 250, "a built-in preset leaves length, seed and stop texts"
    chat.setup_button.click()
    expect(chat.reply_tokens).to_have_value("250")
    chat.own_preset.click()
    assert kept(chat, books) == {**told, "reply_tokens": 100}
    chat.setup_button.click()
    chat.own_preset_remove.click()
    expect(chat.own_preset_remove).to_have_text("Remove?")
    expect(chat.own_preset_remove).to_have_attribute("aria-label", "Remove?: Slow rain")
    chat.own_preset_remove.click()
    expect(chat.own_preset).to_have_count(0)
    chat.advanced.locator("summary").click()
    chat.preset_name.press("Enter")
    expect(chat.preset_says).to_have_text("Give it a name first.")
    for box in (one.bounding_box() for one in chat.page.locator(".choices label").all()):
        assert box["height"] >= 44
    assert chat.setup.evaluate("one => one.scrollWidth <= one.clientWidth")
    chat.setup_close.click()
    chat.told("Who are you?")  # the settings make sense to the worker
    assert re.search("Who are you", chat.last()["words"])


def test_another_word_is_picked_and_the_reply_goes_on_from_there(chat, books):
    chat_id = chat.page.url.rsplit("/", 1)[1]
    owner = chats.load_story(books, chat_id).chat.owner_id
    chats.change_chat(books, owner, chat_id, settings={"top_n": 5, "temperature": 1.0})
    chat.reload()
    chat.told("Who are you?")
    before = chat.last()["words"]
    chat.more.nth(2).click()
    chat.do_why.click()
    words = chat.why.locator(".word")
    words.first.wait_for()
    at = words.count() - 4  # within the tag: the echo is sure of everything else
    kept = "".join(words.all_text_contents()[:at])
    words.nth(at).click()
    pick = chat.page.get_by_test_id("pick").first
    assert pick.bounding_box()["height"] >= 44
    expect(pick).to_have_attribute("aria-label", re.compile("^Go on from here with"))
    picked = pick.locator("q").text_content()
    pick.focus()
    chat.page.keyboard.press("Enter")
    chat.busy()
    chat.rest()
    told = chat.last()
    assert told["count"] == "2/2"
    assert told["words"].startswith(kept + picked)
    assert told["words"] != before
    chat.page.keyboard.press("ArrowLeft")
    chat.until("([text]) => [...document.querySelectorAll('[data-testid=count]')].at(-1).textContent === text", "1/2")
    assert chat.last()["words"] == before, "the old alternative is one arrow away"
    chat.more.nth(0).click()
    assert chat.do_why.is_hidden()


def test_a_word_is_not_picked_in_a_reply_that_is_no_longer_the_last(sit, books):
    chat = sit("1280")
    chat_id = chat.page.url.rsplit("/", 1)[1]
    owner = chats.load_story(books, chat_id).chat.owner_id
    chats.change_chat(books, owner, chat_id, settings={"top_n": 5, "temperature": 1.0})
    chat.reload()
    chat.told("Who are you?")
    chat.more.nth(2).click()
    chat.do_why.click()
    words = chat.why.locator(".word")
    words.nth(words.count() - 4).click()
    other = ChatPage(chat.page.context.new_page(), chat.address).open(chat_id)
    other.told("And then?")
    expect(chat.message).to_have_count(5)
    chat.rest()
    chat.page.get_by_test_id("pick").first.click()
    expect(chat.notice).to_contain_text("The story has gone on since")
    assert [len(one.alternatives) for one in chats.transcript(books, chat_id)][1:] == [1] * 4


def test_a_field_that_is_only_looked_at_does_not_undo_what_another_window_wrote(sit, books):
    chat = sit("1280")
    chat_id = chat.page.url.rsplit("/", 1)[1]
    chat.setup_button.click()
    chat.setup_author_note.focus()
    other = ChatPage(chat.page.context.new_page(), chat.address).open(chat_id)
    other.setup_button.click()
    other.setup_author_note.fill("Rain, always.")
    other.setup_close.click()
    expect(chat.setup_author_note).to_have_value("Rain, always.")
    chat.setup_close.click()
    chat.told("Who are you?")
    assert chats.load_story(books, chat_id).chat.author_note == "Rain, always."


def test_somebody_else_in_mid_story(chat, books):
    chat_id = chat.page.url.rsplit("/", 1)[1]
    owner = chats.load_story(books, chat_id).chat.owner_id
    if not personas.list_personas(books, owner):
        personas.save_persona(books, owner, "Captain Bea", "{{user}} sails alone.")
    chat.reload()
    chat.told("Who are you?")
    chat.setup_button.click()
    chat.setup_persona.select_option(label="Captain Bea")
    expect(chat.setup_user_name).to_have_value("Captain Bea")
    expect(chat.setup_user_persona).to_have_value("Captain Bea sails alone.")
    chat.setup_user_name.fill("")
    chat.setup_user_persona.focus()
    expect(chat.setup_user_name).to_have_value("Captain Bea")  # nobody is without a name
    chat.setup_user_name.fill("Bea")
    chat.setup_user_persona.focus()
    chat.until(SAVED)
    chat.setup_close.click()
    chat.told("It is me, Bea.")
    names = [message.name for message in chats.transcript(books, chat_id) if message.role == "user"]
    assert names == ["Ada", "Bea"]
    told = chats.load_story(books, chat_id).chat
    assert (told.user_name, told.introduced["name"], told.introduced["since"]) == ("Bea", "Ada", 3)
    chat.more.last.click()
    chat.do_prompt.click()
    parts = chat.prompt_segment
    expect(parts.filter(has_text="Who the character is")).to_have_count(1)
    expect(parts.filter(has_text="Who you have become")).to_have_count(1)
    parts.filter(has_text="Bea · 4").locator("summary").click()
    expect(parts.filter(has_text="Bea · 4").locator("pre")).to_contain_text("It is me, Bea.")
    expect(chat.prompt_sum).to_contain_text("tokens were read anew")
    assert chat.prompt.evaluate("one => one.scrollWidth <= one.clientWidth")
    chat.page.keyboard.press("Escape")
    expect(chat.prompt).to_be_hidden()


def test_a_persona_has_a_face_beside_its_words(chat):
    page, story = chat.page, chat.page.url
    out = io.BytesIO()
    Image.new("RGB", (300, 400), "#3f6373").save(out, "PNG")
    page.goto(story.split("/chat/")[0] + "/personas/new")
    page.get_by_test_id("name").fill("Cara")
    page.get_by_test_id("picture").set_input_files({"name": "c.png", "mimeType": "image/png", "buffer": out.getvalue()})
    page.locator("#likeness canvas").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_test_id("save").click()
    cara = page.get_by_test_id("persona").filter(has_text="Cara")
    shown = cara.locator("img").get_attribute("src")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.goto(story)
    chat.rest()
    chat.told("Who are you?")
    chat.setup_button.click()
    chat.setup_persona.select_option(label="Cara")
    expect(chat.setup_user_name).to_have_value("Cara")
    chat.setup_close.click()
    chat.told("It is me, Cara.")
    faces = page.locator(".message[data-role=user] .face")
    expect(faces.first).to_be_hidden()  # said as somebody without a picture
    for _ in ("as it was said", "as the server has it"):
        expect(faces.last).to_be_visible()
        expect(faces.last).to_have_attribute("src", shown)
        box, body = faces.last.bounding_box(), page.locator(".message[data-self] .body").bounding_box()
        assert body["x"] + body["width"] <= box["x"]
        assert box["x"] + box["width"] <= page.viewport_size["width"]
        chat.reload()
    page.goto(story.split("/chat/")[0] + "/personas")
    cara.click()
    page.get_by_test_id("delete-persona").click()
    page.get_by_test_id("delete-persona-really").click()
    page.get_by_test_id("said").wait_for()
    page.goto(story)
    expect(faces.last).to_be_hidden()
