"""How a story is read, on a desktop and on a phone: the size of its text, and a voice that reads it aloud.

The browser of these tests has no voices; VOICES gives it three, of which one would send what it reads elsewhere.
What a voice says is noted, and is over when the test says so.
"""

import pytest
from playwright.sync_api import expect

from store import accounts, chats

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
VOICES = """window.said = []; window.utterances = [];
const voice = (name, lang, localService) => ({ name, lang, localService, voiceURI: name, default: false });
const voices = [voice('Cloud', 'en-GB', false), voice('Ann', 'en_GB', true), voice('Bea', 'en-US', true)];
window.SpeechSynthesisUtterance = class extends EventTarget { constructor(text) { super(); this.text = text; } };
Object.defineProperty(window, 'speechSynthesis', { value: { getVoices: () => voices, cancel: () => said.push('hush'),
  speak: (one) => { said.push(`${one.voice.name} ${one.rate}: ${one.text}`); utterances.push(one); } } });"""
SAID = "() => window.said"
TO_END = "() => { for (let at = 0; at < utterances.length; at += 1) utterances[at].dispatchEvent(new Event('end')); }"
SIZE = "() => parseFloat(getComputedStyle(document.querySelector('[data-testid=prose]')).fontSize)"


def menu(chat, act):
    chat.more.last.click()
    chat.page.get_by_test_id(f"do-{act}").click()


def test_a_story_is_read_aloud_and_its_text_grows(chat, books):
    page = chat.page
    page.add_init_script(VOICES)
    chat.reload()
    chat.told("Who are you?")
    assert page.evaluate(SAID) == [], "only when it is asked for"
    words = chat.last()["words"]
    menu(chat, "aloud")
    expect(chat.hush).to_be_visible()
    page.evaluate(TO_END)
    said = page.evaluate(SAID)
    assert all(line.startswith("Ann 1: ") for line in said), "a voice of the device itself"
    heard = " ".join(line.removeprefix("Ann 1: ") for line in said)
    assert "".join(heard.split()) == "".join(words.split()), "the whole message, without its marks"
    expect(chat.hush).to_be_hidden()
    menu(chat, "aloud")
    expect(chat.hush).to_be_visible()
    chat.more.last.click()
    expect(chat.do_aloud).to_have_text("Stop reading aloud")
    chat.do_aloud.click()
    assert page.evaluate(SAID)[-1] == "hush"
    chat.after.click()
    chat.aloud_each.check()
    page.keyboard.press("Escape")
    chat.told("And now?")
    expect(chat.hush).to_be_visible()
    assert page.evaluate(SAID)[-1].startswith("Ann 1: "), "each reply, now"
    chat.hush.click()
    expect(chat.hush).to_be_hidden()

    before = page.evaluate(SIZE)
    story = page.url
    page.goto(f"{chat.address}/settings")
    chat.voice_en.select_option("Bea")
    expect(chat.voice_zh).to_be_disabled()
    chat.pace.fill("4")
    chat.try_voice_en.click()
    assert page.evaluate(SAID)[-1].startswith("Bea 1.3: Once upon a time")
    chat.text_largest.locator("xpath=..").click()
    chat.save_look.click()
    expect(chat.text_largest).to_be_checked()
    page.goto(story)
    chat.rest()
    assert page.evaluate(SIZE) == pytest.approx(1.45 * before)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    owner = chats.load_story(books, story.rsplit("/", 1)[1]).chat.owner_id
    accounts.set_preferences(books, owner, text_size="normal")
