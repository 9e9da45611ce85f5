"""Pictures of all pages: each scene on a desktop and on a phone, light and dark, in both languages.

Against any running inglenook, as somebody new with an admin's invitation:
    python tests/browser/pictures.py --url http://127.0.0.1:8420 --invite LINK --into docs/screenshots
Without --all only those that the docs show are taken. To add one: a function in SCENES; a name in SHOWN.
"""

import argparse
import sys
from pathlib import Path

from two_browsers import DESKTOP, IDLE, PASSWORD, PHONE, RESTING, chromium

SIZES = {"1280": DESKTOP, "390": {**PHONE, "device_scale_factor": 1.5}}
SCHEMES = ("light", "dark")
LOCALES = {"en": "en-GB", "zh": "zh-CN"}
WHO = {"en": ("mara", "Is the light still burning?"), "zh": ("yanqiu", "外面下雨了，我可以进来坐一会儿吗？")}
SHOWN = {
    "home-1280-light", "home-390-dark", "home-390-light-zh", "stories-390-light",
    "character-1280-dark", "character-390-light", "edit-1280-light", "personas-390-light", "settings-1280-dark",
    "settings-390-light", "people-1280-light", "people-390-dark", "admin-1280-light", "admin-390-light",
    "books-390-light", "bring-story-1280-light", "chat-1280-light", "chat-1280-dark", "chat-390-dark",
    "chat-1280-light-zh", "menu-390-light", "setup-390-dark", "status-390-dark", "suggest-390-light",
    "then-390-light", "why-1280-light",
}  # fmt: skip


class PictureTaker:
    """One window, with a chat of its own."""

    def __init__(self, page, url, language):
        self.page, self.url, self.language, self.chat = page, url, language, None

    def press(self, what):
        self.page.get_by_test_id(what).last.click()

    def go(self, path):
        self.page.goto(self.url + path)

    def rest(self):
        self.page.locator(f"{RESTING}:has({IDLE})").wait_for(state="attached")

    def ask(self, button):
        """Something that the model does: wait until it is over."""
        self.press(button)
        self.page.locator("[data-testid=send][data-mode=stop]").wait_for()
        self.rest()

    def to_chat(self):
        if self.chat is None:
            self._begin()
        self.page.goto(self.chat)
        self.rest()
        self.page.get_by_test_id("draft").fill("")

    def _begin(self):
        slug, words = WHO[self.language]
        self.go("/")
        self.page.locator(f"[data-slug={slug}]").get_by_test_id("begin").click()
        self.page.get_by_test_id("draft").wait_for()
        self.rest()
        self.chat = self.page.url
        self.press("setup-button")
        self.page.get_by_test_id("advanced").locator("summary").click()
        self.page.get_by_test_id("setup-why").check()
        self.press("setup-close")
        self.page.get_by_test_id("draft").fill(words)
        self.ask("send")


def at(path):
    return lambda one: one.go(path)


def in_chat(*presses):
    def show(one):
        one.to_chat()
        for press in presses:
            press(one)

    return show


def character(one):
    one.go("/")
    one.page.locator(f"[data-slug={WHO[one.language][0]}]").get_by_test_id("character-page").click()


def pressed(*buttons):
    return in_chat(*(lambda one, button=button: one.press(button) for button in buttons))


SCENES = {
    "home": at("/"),
    "stories": at("/chats"),
    "character": character,
    "edit": at("/characters/new"),
    "personas": at("/personas"),
    "persona": at("/personas/new"),
    "books": at("/books"),
    "bring": at("/characters/bring"),
    "bring-story": at("/chats/bring"),
    "settings": at("/settings"),
    "people": at("/people"),
    "admin": at("/admin"),
    "chat": in_chat(),
    "menu": pressed("more"),
    "setup": pressed("setup-button"),
    "then": pressed("after"),
    "status": in_chat(lambda one: one.ask("status")),
    "suggest": in_chat(lambda one: one.ask("suggest")),
    "why": pressed("more", "do-why"),
    "missing": at("/nowhere"),
}


def visit(browser, options, wanted):
    """One person, in one language after the other, in windows of every size and scheme."""
    cookies = None
    for language, locale in LOCALES.items():
        for size, view in SIZES.items():
            context = browser.new_context(**view, locale=locale, storage_state=cookies, reduced_motion="reduce")
            page = context.new_page()
            page.set_default_timeout(120_000)
            visitor = PictureTaker(page, options.url, language)
            if cookies is None:
                sign_up(visitor, options.invite, options.name)
            visitor.go("/settings")
            page.get_by_test_id(f"locale-{language}").check()
            visitor.press("save-look")
            for scene, show in SCENES.items():
                shoot(visitor, scene, show, size, wanted, options)
            cookies = context.storage_state()
            context.close()


def sign_up(visitor, invite, name):
    visitor.page.goto(invite)
    visitor.page.get_by_test_id("name").fill(name)
    visitor.page.get_by_test_id("password").fill(PASSWORD)
    visitor.press("sign-up")
    visitor.page.get_by_test_id("characters").wait_for()


def shoot(visitor, scene, show, size, wanted, options):
    """A scene in both schemes, if anybody wants to see it."""
    tail = "" if visitor.language == "en" else f"-{visitor.language}"
    names = {scheme: f"{scene}-{size}-{scheme}{tail}" for scheme in SCHEMES}
    if not wanted & set(names.values()):
        return
    show(visitor)
    for scheme, name in names.items():
        if name in wanted:
            visitor.page.emulate_media(color_scheme=scheme)
            visitor.page.wait_for_timeout(400)
            whole = options.whole and not visitor.page.url.startswith(f"{options.url}/chat/")
            visitor.page.screenshot(path=options.into / f"{name}.png", full_page=whole)


def everything():
    tails = ["" if one == "en" else f"-{one}" for one in LOCALES]
    return {
        f"{scene}-{size}-{scheme}{tail}" for scene in SCENES for size in SIZES for scheme in SCHEMES for tail in tails
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="address of the server")
    parser.add_argument("--invite", required=True, help="an invitation link for an admin")
    parser.add_argument("--name", default="Nora", help="who the newcomer is")
    parser.add_argument("--into", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--all", action="store_true", help="every scene in every way, not only what the docs show")
    parser.add_argument("--whole", action="store_true", help="long pages from top to bottom")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        visit(browser, options, everything() if options.all else SHOWN)
    return 0


if __name__ == "__main__":
    sys.exit(main())
