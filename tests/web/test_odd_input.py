"""Odd input everywhere: every route and every command of a web socket takes it or refuses it, and none breaks.

The values are in ODD and ODD_JSON: huge and negative numbers, empty, long, half and foreign texts, deep nesting, wrong
types. `make soak-tests` tries all of them on everything; the short form a few on each route and command.
"""

import itertools
import json
import logging

import pytest
from test_access import adas, address_of, ask, enter, hashed, routes, token_of
from test_live_foreign import TRIES, hers, of_message

from store import accounts
from tests.harness.people import PASSWORD
from tests.harness.soak import SOAK
from tests.harness.socket_client import Closed
from web.live.commands import COMMANDS
from web.live.protocol.to_server import OpenChat, SavePreset, SetUpChat, SubmitTurn

__all__ = ["adas", "enter", "hashed", "hers", "of_message"]

ODD = (
    *("", " ", "0", "-1", "1.5", "NaN", "-Infinity", "1e400", "9" * 400),
    *(str(2**31), str(2**63), str(2**70), "٣", "½", "１"),
    *("\0", "a\0b", "\ud7ff\ufffe\uffff", "\u202egnp.exe", "e\u0301" * 40, "😀" * 60, "x" * 5000),
    *("../../etc/passwd", "%00", "%2e%2e%2f", "{{roll:1d6}}", "<script>", "' OR 1=1 --", "[" * 300),
)
ODD_JSON = (
    *("0", "-1", "1.5", "1e308", "NaN", "Infinity", "1e400", "9" * 400, str(2**31), str(2**63), str(2**70)),
    *('""', '"\\u0000"', '"\\ud800"', '"' + "x" * 5000 + '"', '"' + "ÿ" * 32 + '"', '"' + "0" * 32 + '"', '"system"'),
    *("null", "true", "[]", "{}", "[" * 400 + "]" * 400, '{"a":' * 400 + "1" + "}" * 400, '{"a":1,"a":2}'),
)
QUERIES = ("before", "page", "q", "next", "position", "format", "sort", "tag", "wait", "n", "text", "message")
FIELDS = (
    *("name", "title", "text", "password", "role", "minutes", "quiet_from", "quiet_to", "place", "position", "depth"),
    *("scan_depth", "order", "probability", "sticky", "cooldown", "keys", "content", "description", "rating", "locale"),
    *(
        "language",
        "theme",
        "text_size",
        "count",
        "days",
        "character",
        "persona",
        "chat",
        "greeting",
        "tags",
        "first_mes",
    ),
)
N_AT_ONCE = 1 if SOAK else 9  # every n-th value on each, another first one for each


def some(values, number):
    """The odd values for the place of this number."""
    return itertools.islice(values, number % N_AT_ONCE, None, N_AT_ONCE)


@pytest.fixture
def no_crash(caplog):
    """At the end no request has ended in an exception that nobody expected."""
    with caplog.at_level(logging.ERROR):
        yield
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def answers_to(site, browser, rule, method, values):
    """Status for each odd value, in the address, behind it and in all fields of a form."""
    address = address_of(site, rule, values)
    token = token_of(browser) if method == "POST" else ""
    for value in values["odd"]:
        asked = {"headers": {"Accept": "application/json"}, "allow_redirects": False}
        if method == "POST":
            yield value, browser.post(address, dict.fromkeys(FIELDS, value), token, **asked).status_code
        else:
            yield value, browser.get(address, params=dict.fromkeys(QUERIES, value), **asked).status_code


@pytest.fixture
def herself(site, adas):
    """The owner of everything in `adas`, who is an admin now."""
    accounts.set_role(site.database, adas["user_id"], "admin")
    ada = site.browser()
    ada.submit("/login", {"name": "Ada", "password": PASSWORD})
    return ada


def in_order(app):
    """All routes, numbered; those that delete something come last."""
    return enumerate(sorted(routes(app).items(), key=lambda item: ("delete" in item[0][0], item[0])))


# These end the session or the account of the person who tries; and the web socket's route.
LEAVING = {"accounts.logout", "settings.sign_out_everywhere", "settings.delete", "settings.password", "live.live"}


@pytest.mark.timeout(600)
def test_no_route_breaks_on_odd_input(site, adas, herself, no_crash):
    found = {}
    for number, (key, rule) in in_order(site.app):
        if key[0] in LEAVING:
            continue
        values = {**adas, "odd": some(ODD, number)}
        for value, status in answers_to(site, herself, rule, key[1], values):
            if status >= 500:
                found[key, value[:40]] = status
    assert found == {}


@pytest.mark.timeout(600)
def test_no_address_breaks_on_odd_parts(site, adas, herself, no_crash):
    found = {}
    for number, (key, rule) in in_order(site.app):
        if not rule.arguments or key[0] in LEAVING:
            continue
        for value in some([odd for odd in ODD if odd.strip() and len(odd) < 1000], number):
            odd = {**adas, **dict.fromkeys(rule.arguments, value)}
            try:
                status = ask(site, herself, rule, key[1], odd).status_code
            except ValueError:  # werkzeug makes no such address
                continue
            if status >= 500:
                found[key, value[:40]] = status
    assert found == {}


MORE = {
    OpenChat: {"stream": "0-0"},
    SubmitTurn: {"then": ["status"]},
    SavePreset: {"type": "save_preset", "name": "Mine", "settings": {"temperature": 1}},
    SetUpChat: {"reference": "", "user_persona": "", "settings": {"temperature": 1}, "books": []},
}


def odd_frames(frame, number):
    """The frame with each field odd in turn, as texts; what is in it and odd."""
    for place, field in enumerate(frame):
        for value in some(ODD_JSON, number + place):
            rest = ",".join(f"{json.dumps(key)}:{json.dumps(given)}" for key, given in frame.items() if key != field)
            yield f"{field}={value[:40]}", f"{{{rest},{json.dumps(field)}:{value}}}"
    for name, value in itertools.product(frame.get("settings", ()), ODD_JSON):
        yield f"{name}={value[:40]}", json.dumps(frame).replace('"temperature": 1', f'"{name}": {value}')


@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_no_command_breaks_on_odd_input(site, ada, hers, no_crash, command):
    frame = {**(TRIES[command](hers) if TRIES[command] else {"type": "ping"}), **MORE.get(command, {})}
    found = {}
    for what, text in odd_frames(frame, list(COMMANDS).index(command)):
        tab = ada.socket()
        tab.send_text(text)
        try:
            tab.send(type="ping")
            tab.wait("pong")
            tab.close()
        except Closed as closed:
            if closed.code == 1011:
                found[what] = closed.code
    assert found == {}
