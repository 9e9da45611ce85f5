"""The two people of two_browsers.py come back another day: all that they had is there, and their stories go on.

python tests/browser/two_browsers.py --url URL --invite LINK --invite LINK --remember FILE
(stop the server, start it again)
python tests/browser/come_back.py --url URL --memory FILE
"""

import argparse
import json
import sys
from pathlib import Path

from playwright.sync_api import Error
from two_browsers import DESKTOP, PASSWORD, PHONE, BrowserPerson, chromium, is_at_home, new_word


def come_back(browser, url, view, memory):
    """One of them signs in, finds the story as it was, and says one thing more."""
    page = browser.new_context(**view, ignore_https_errors=is_at_home(url)).new_page()
    page.set_default_timeout(30_000)
    person = BrowserPerson(memory["name"], new_word(4), page, None, view["viewport"]["width"])
    person.watch(url)
    page.goto(f"{url}/login")
    page.get_by_test_id("name").fill(person.name)
    page.get_by_test_id("password").fill(PASSWORD)
    page.get_by_test_id("sign-in").click()
    page.get_by_test_id("characters").wait_for()
    page.goto(memory["chat"])
    person.rest()
    assert person.shown() == memory["shown"], f"{person.name} had {memory['shown']} and finds {person.shown()}"
    person.write(f"I am back, {person.secret}.")
    person.words_so_far()
    person.rest()
    shown = person.shown()
    assert shown[: len(memory["shown"])] == memory["shown"]
    assert [one["role"] for one in shown[-2:]] == ["user", "character"]
    assert shown[-1]["words"], "an empty reply"
    assert (person.strangers, person.errors) == ([], [])
    page.context.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="address of the server")
    parser.add_argument("--memory", type=Path, required=True, help="what two_browsers.py has remembered")
    options = parser.parse_args()
    people = json.loads(options.memory.read_text(encoding="utf-8"))
    try:
        with chromium() as browser:
            for view, memory in zip((DESKTOP, PHONE), people, strict=True):
                come_back(browser, options.url, view, memory)
    except (AssertionError, Error) as error:
        sys.stderr.write(f"FAILED: {error}\n")
        return 1
    sys.stdout.write(f"{len(people)} came back and found everything\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
