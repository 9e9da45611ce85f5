"""Two people in two browsers, a desktop and a phone, at the same time: each sees exactly their own story.

Against any running inglenook:
    python tests/browser/two_browsers.py --url http://127.0.0.1:8420 --invite LINK --invite LINK [--screenshots FOLDER]
They sign up, pick a character each, write at the same moment and reload while the reply is being written. Chromium is
the machine's own (from the PATH); none is downloaded.
"""

import argparse
import contextlib
import json
import re
import secrets
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Error, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PLAIN = {"service_workers": "block"}  # one would hide requests from these tests; test_installed.py has one
DESKTOP = {"viewport": {"width": 1280, "height": 800}, **PLAIN}
TOUCHED = {"is_mobile": True, "has_touch": True, "device_scale_factor": 2}
PHONE = {"viewport": {"width": 390, "height": 844}, **TOUCHED, **PLAIN}
PASSWORD = "a long enough password"
REPLY_MS = 240_000
ROUNDS = 5  # tries to catch both in mid-reply: a short reply may be over before the reload

# What the page shows against what the server has: ids, roles, and the words of the chosen alternatives.
SHOWN = """() => [...document.querySelectorAll('[data-testid=message]')].map((one) => ({
  id: one.dataset.id, role: one.dataset.role,
  words: one.querySelector('[data-testid=prose]').textContent.replace(/\\s+/g, ' ').trim() }))"""
STORED = """async () => {
  const chat = document.querySelector('[data-testid=story]').dataset.chat;
  const answer = await fetch(`/chat/${chat}/messages?before=1000000`, { headers: { Accept: 'application/json' } });
  return (await answer.json()).messages.map((one) => {
    const page = new DOMParser().parseFromString(one.alternatives[one.active].html, 'text/html');
    return { id: one.id, role: one.role, words: page.body.textContent.replace(/\\s+/g, ' ').trim() }; }); }"""
IDLE = "[data-testid=send][data-mode=send]"
RESTING = "body[data-line=up]:not(:has([data-live], [data-pending]))"
LIVE = "document.querySelector('[data-testid=message][data-live] [data-testid=prose]')?.textContent ?? ''"


@dataclass
class BrowserPerson:
    """One person in one browser window."""

    name: str
    secret: str
    page: object
    shots: Path | None
    width: int
    said: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self, url):
        """Note every request to another machine and every error of a script."""
        self.page.on("request", lambda one: self.strangers.append(one.url) if not is_ours(one.url, url) else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def sign_up(self, link):
        self.page.goto(link)
        self.page.get_by_test_id("name").fill(self.name)
        self.page.get_by_test_id("password").fill(PASSWORD)
        self.shoot("invited")
        self.page.get_by_test_id("sign-up").click()
        self.page.get_by_test_id("characters").wait_for()

    def begin(self, place):
        self.shoot("home")
        self.page.get_by_test_id("begin").nth(place).click()
        self.page.get_by_test_id("draft").wait_for()
        self.rest()

    def write(self, text):
        self.said.append(text)
        self.page.get_by_test_id("draft").fill(text)
        self.page.get_by_test_id("send").click()

    def words_so_far(self):
        """Wait for the first words of the reply; the words that are there then ('' if it was over sooner)."""
        deadline = time.monotonic() + REPLY_MS / 1000
        while not (words := squeeze(self.page.evaluate(LIVE))) and not self.page.locator(IDLE).count():
            assert time.monotonic() < deadline, f"{self.name} waits for words that do not come"
            self.page.wait_for_timeout(50)
        return words

    def rest(self):
        """Wait until the line is up and no reply is under way."""
        self.page.locator(f"{RESTING}:has({IDLE})").wait_for(state="attached", timeout=REPLY_MS)

    def shown(self):
        return self.page.evaluate(SHOWN)

    def stored(self):
        return self.page.evaluate(STORED)

    def shoot(self, what):
        if self.shots:
            self.page.screenshot(path=self.shots / f"{what}-{self.width}.png")


def new_word(n_syllables):
    """A word that nobody has said before."""
    return "".join(secrets.choice("bdfgklmnprstvz") + secrets.choice("aeiou") for _ in range(n_syllables))


def is_ours(request_url, url):
    return request_url.startswith((url, "data:", "blob:"))


def is_at_home(url):
    """Whether this is a server on trial, with a certificate that it has signed by itself."""
    return url.startswith("https://localhost")


def squeeze(text):
    return re.sub(r"\s+", " ", text).strip()


def letters(text):
    """Only the letters: a half-written reply may still show a mark that Markdown takes away later."""
    return re.sub(r"[^\w]", "", text)


@contextlib.contextmanager
def chromium():
    """The machine's own Chromium, headless."""
    path = next((found for found in map(shutil.which, NAMES) if found), None)
    if path is None:
        raise SystemExit(f"No Chromium on the PATH (looked for {', '.join(NAMES)}): on Debian, apt install chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def play(browser, url, links, shots=None, memory=None):
    """The whole scene; a report of what was seen. AssertionError for anything that is not as it should be.

    `memory`: a file that gets what come_back.py needs.
    """
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    people = [newcomer(browser, url, view, name, shots) for view, name in ((DESKTOP, "Ada"), (PHONE, "Ben"))]
    for place, (person, link) in enumerate(zip(people, links, strict=True)):
        person.sign_up(link)
        person.begin(place)
    caught = {person.name: False for person in people}
    together = rounds = 0
    while not all(caught.values()) and rounds < ROUNDS:
        rounds += 1
        together += talk_and_reload(people, caught, rounds)
    assert all(caught.values()), f"no reload fell into a reply: {caught}"
    assert together, "the two replies were never written at the same time"
    for person in people:
        person.shoot("chat")
        check_story(person, [other for other in people if other is not person])
    if memory:
        told = [{"name": person.name, "chat": person.page.url, "shown": person.shown()} for person in people]
        memory.write_text(json.dumps(told), encoding="utf-8")
    return {person.name: [one["words"][:60] for one in person.shown()] for person in people} | {"rounds": rounds}


def newcomer(browser, url, view, name, shots):
    page = browser.new_context(**view, ignore_https_errors=is_at_home(url)).new_page()
    page.set_default_timeout(30_000)
    person = BrowserPerson(f"{name} {new_word(2).title()}", new_word(4), page, shots, view["viewport"]["width"])
    person.watch(url)
    return person


def talk_and_reload(people, caught, number):
    """Both write, both reload in mid-reply; whether both replies were under way at one moment."""
    for person in people:
        person.write(f"Number {number}: tell me a long story about a lighthouse called {person.secret}, please.")
    before = {person.name: person.words_so_far() for person in people}
    together = all(person.page.locator("[data-live]").count() for person in people)
    for person in people:
        if number == 1:
            person.shoot("writing")
        person.page.reload()
    for person in people:
        person.rest()
        reply = person.shown()[-1]
        assert reply["role"] == "character", reply
        seen, whole = letters(before[person.name]), letters(reply["words"])
        assert whole.startswith(seen[:-1]), f"the reply has changed: {seen!r} became {whole!r}"
        caught[person.name] |= 0 < len(seen) < len(whole)
    return together


def check_story(person, others):
    """The page shows what the server has: the greeting, then each own message with one reply, and nothing of others."""
    shown = person.shown()
    assert shown == person.stored(), f"{person.name} sees {shown}, the server has {person.stored()}"
    assert [one["role"] for one in shown] == ["character"] + ["user", "character"] * len(person.said)
    assert [one["words"] for one in shown if one["role"] == "user"] == person.said
    assert all(one["words"] for one in shown), "an empty message"
    for other in others:
        assert other.secret not in person.page.content(), f"{person.name} sees words of {other.name}"
        assert other.name not in person.page.content()
    assert person.strangers == [], "a request has left the server's own origin"
    assert person.errors == []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="address of the server")
    parser.add_argument("--invite", action="append", required=True, help="an invitation link; twice")
    parser.add_argument("--screenshots", type=Path, help="folder for what the browsers saw")
    parser.add_argument("--remember", type=Path, help="file for come_back.py")
    options = parser.parse_args()
    try:
        with chromium() as browser:
            report = play(browser, options.url, options.invite, options.screenshots, options.remember)
    except (AssertionError, Error) as error:
        sys.stderr.write(f"FAILED: {error}\n")
        return 1
    sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False) + "\n1 passed, 0 failed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
