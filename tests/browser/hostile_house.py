"""A window that notes everything that hostile texts do in it, and a house full of people and characters made of them.

The fixtures are made known by conftest.py.
"""

import pytest
from chat_page import VIEWS, sign_in
from hostile_texts import NAMES, TEXTS, short
from two_browsers import PASSWORD, is_ours

from store import accounts, characters, texts
from web.auth import passwords

NAME = "<img src=x onerror=ran()>"
CLEAN = [texts.clean(text) for text in TEXTS]
# What a text could do if it were code, noted before anything else on the page runs.
WATCH = """window.happened = [];
  for (const name of ['ran', 'alert', 'confirm', 'prompt', 'print', 'open'])
    window[name] = () => { happened.push(name); return {}; };
  addEventListener('securitypolicyviolation', (one) => happened.push(`${one.violatedDirective} ${one.sample}`));"""
# Elements and attributes that no page of ours has.
STRANGE = """() => {
  const prose = new Set('p br em strong s span blockquote ul ol li hr code pre table thead tbody tr th td'.split(' '));
  for (const level of [1, 2, 3, 4, 5, 6]) prose.add(`h${level}`);
  const never = 'iframe, object, embed, frame, frameset, base, style, math, video, audio, source, track, marquee, xmp,'
    + 'plaintext, portal, applet, picture, area, map, foreignObject, animate, set, svg image, feImage, svg a,'
    + 'svg style, meta[http-equiv], link[rel=prefetch], link[rel=dns-prefetch], input[type=image]';
  const links = ['href', 'src', 'action', 'formaction', 'srcset', 'poster', 'background', 'ping', 'data', 'xlink:href'];
  const isOurs = (one, address) => { const url = new URL(address, location.href);
    return url.origin === location.origin || (one.matches('img') && url.protocol === 'data:'); };
  const wrong = (one) => one.matches(never)
    || (one.matches('script') && !one.src && one.type !== 'application/json')
    || (one.closest('.prose, .notes') && !one.matches('.prose, .notes')
      && (!prose.has(one.localName) || one.getAttributeNames().some((name) => name !== 'class')))
    || one.getAttributeNames().some((name) => name.startsWith('on') || (name === 'style' && /url|expr/.test(one.style)))
    || links.some((name) => one.hasAttribute(name) && !isOurs(one, one.getAttribute(name)));
  return [...document.querySelectorAll('*')].filter(wrong).map((one) => one.outerHTML.slice(0, 200)); }"""


def packs(limit, given=CLEAN):
    """All the texts as a few long ones that fit into `limit`."""
    pack = ""
    for text in given:
        if pack and len(pack) + len(text) + 2 > limit:
            yield pack
            pack = ""
        pack += ("\n\n" if pack else "") + text
    yield pack


class Victim:
    """A window that notes everything that hostile texts do in it."""

    def __init__(self, browser, address):
        self.address = address
        self.page = browser.new_context(**VIEWS["1280"], reduced_motion="reduce").new_page()
        self.page.set_default_timeout(30_000)
        self.page.add_init_script(WATCH)
        self.foreign, self.happened = [], []
        self.page.on("request", lambda one: self.foreign.append(one.url) if not is_ours(one.url, address) else None)
        self.page.on("dialog", lambda one: (self.happened.append(one.message), one.dismiss()))

    def enter(self, name):
        sign_in(self.page, self.address, name)
        return self

    def open(self, path):
        self.page.goto(self.address + path)
        return self

    def unharmed(self):
        """What is on the page now did nothing, and is nothing but text."""
        self.page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
        assert self.page.evaluate(STRANGE) == []
        assert [*self.happened, *self.page.evaluate("happened")] == []
        assert self.foreign == []

    def count(self, testid):
        return self.page.get_by_test_id(testid).count()


@pytest.fixture(scope="module")
def hashed_once():
    return passwords.hash_password(PASSWORD)


@pytest.fixture(scope="module")
def crowd(stack, books, hashed_once):
    """An admin whose name is hostile and sixty others whose names are; they leave at the end."""
    stack.forget_rate_limits()
    if not accounts.has_admin(books):
        accounts.sign_up(
            books, accounts.create_invite(books, "admin")[1], "Keeper", hashed_once
        )  # the last one must stay
    names = {texts.name_key(name): name for name in [*NAMES, *short(40)] if texts.clean_name(name) == name}
    people = [
        accounts.sign_up(books, accounts.create_invite(books, role)[1], name, hashed_once)
        for name, role in zip(list(names.values())[:60], ["admin", *["adult"] * 59], strict=True)
    ]
    yield people
    for person in people:
        accounts.delete_account(books, person.id)


@pytest.fixture(scope="module")
def mallory(crowd):
    return crowd[0]


@pytest.fixture(scope="module")
def victim(stack, browser, mallory):
    """Mallory's own window; what her texts do there they would do to anybody who was shown them."""
    victim = Victim(browser, stack.address).enter(mallory.name)
    yield victim
    victim.page.context.close()


@pytest.fixture(scope="module")
def cast(books, mallory):
    """Characters with hostile names, and some that have every text in everything else."""
    named = [{"name": name, "tags": [name[:40]]} for name in short(80)]
    fields = ("description", "personality", "scenario", "first_mes", "mes_example", "system_prompt", "creator_notes")
    full = []
    for some in batches(CLEAN, 28):
        status = [{"name": text, "type": "one_of", "options": [text]} for text in some]
        packed = dict.fromkeys([*fields, "post_history_instructions"], "\n\n".join(some))
        more = {"alternate_greetings": list(some), "extensions": {"inglenook": {"status": status}}}
        full.append({"name": "Full", "tags": list(some), "creator": some[0], **packed, **more})
    lines = short(160)
    return [
        characters.save_character(books, mallory, card, tagline=lines[number % len(lines)])
        for number, card in enumerate([*named, *full])
    ]


def batches(given, size):
    return [given[start : start + size] for start in range(0, len(given), size)]
