"""An admin chooses a model in a browser, against any running inglenook, and has the first word of it.

    python tests/browser/choose_model.py --url URL --invite LINK --repo OWNER/NAME --memory FILE
    python tests/browser/choose_model.py --url URL --memory FILE       after a restart: still that model

The first looks whether the model fits, gets it, uses it and writes a line; both print how long each step took.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from chat_page import ChatPage, sign_in
from playwright.sync_api import Error, expect
from two_browsers import DESKTOP, PASSWORD, chromium

NAME = "Robin"
FETCH_MS, SWITCH_MS = 300_000, 120_000


class Clock:
    """Notes how many seconds each step took."""

    def __init__(self):
        self.seconds, self._at = {}, time.monotonic()

    def __call__(self, step):
        now = time.monotonic()
        self.seconds[step], self._at = round(now - self._at, 1), now


def choose(page, url, invite, repo, clock):
    """From the invitation to the first word; what the next one needs."""
    page.goto(invite)
    page.get_by_test_id("name").fill(NAME)
    page.get_by_test_id("password").fill(PASSWORD)
    page.get_by_test_id("sign-up").click()
    page.get_by_test_id("toy-choose").click()
    clock("signed up, and the toy's line led to the page of models")
    page.get_by_test_id("repo").fill(repo)
    page.get_by_test_id("path").fill("*.gguf")
    page.get_by_test_id("ask").click()
    row = page.locator("[data-testid=model][data-state]")
    expect(row.get_by_test_id("plan")).to_have_attribute("data-fits", "well", timeout=FETCH_MS)
    clock("whether it fits")
    planned, name = row.get_by_test_id("plan").inner_text(), row.get_attribute("data-name")
    row.get_by_test_id("get").click()
    expect(row.get_by_test_id("use")).to_be_visible(timeout=FETCH_MS)
    clock("fetched")
    assert row.get_by_test_id("plan").inner_text() == planned, "the plan before the download equals the one after it"
    row.get_by_test_id("use").click()
    serves(page, name)
    clock("changed")
    answers = page.get_by_test_id("answers").first.inner_text()
    page.goto(url)
    page.get_by_test_id("begin").first.click()
    chat = ChatPage(page, url)
    chat.rest()
    first_word(chat, clock)
    return {"file": name, "answers": answers, "plan": planned, "chat": page.url.rsplit("/", 1)[1]}


def come_back(page, url, known, clock):
    """After a restart."""
    sign_in(page, url, NAME)
    page.goto(f"{url}/models")
    serves(page, known["file"])
    expect(page.get_by_test_id("answers").first).to_have_text(known["answers"])
    clock("still that model")
    first_word(ChatPage(page, url).open(known["chat"]), clock)


def serves(page, name):
    row = page.locator(f"[data-testid=model][data-name='{name}']")
    expect(row.get_by_test_id("in-use")).to_have_attribute("data-state", "serving", timeout=SWITCH_MS)


def first_word(chat, clock):
    n_before = len(chat.messages())
    chat.say("What do you see from your window?")
    chat.busy()
    chat.rest()
    clock("a reply")
    assert len(chat.messages()) == n_before + 2
    assert chat.last()["role"] == "character"
    assert chat.last()["words"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="address of the server")
    parser.add_argument("--memory", type=Path, required=True, help="file that is written, or read without --invite")
    parser.add_argument("--invite", help="an admin's invitation link")
    parser.add_argument("--repo", default="local/models")
    options, clock = parser.parse_args(), Clock()
    try:
        with chromium() as browser:
            page = browser.new_context(**DESKTOP, ignore_https_errors=True).new_page()
            page.set_default_timeout(60_000)
            if options.invite:
                known = choose(page, options.url, options.invite, options.repo, clock)
                options.memory.write_text(json.dumps(known), encoding="utf-8")
            else:
                come_back(page, options.url, json.loads(options.memory.read_text(encoding="utf-8")), clock)
    except (AssertionError, Error) as error:
        sys.stderr.write(f"FAILED: {error}\n")
        return 1
    sys.stdout.write(json.dumps(clock.seconds, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
