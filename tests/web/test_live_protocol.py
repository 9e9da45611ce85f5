"""The page and the server speak the same protocol: web/live/protocol/ against the commands and static/js/chat."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError
from test_live_foreign import TRIES

from web.live.commands import COMMANDS
from web.live.protocol.to_server import parse_command
from web.live.protocol.to_tab import OUTGOING

CHAT_JS = Path(__file__).parents[2] / "web" / "static" / "js" / "chat"
TABLE = re.compile(r"^const HANDLERS = \{\n(.*?)^\};\n", re.S | re.M)  # controller.js
HANDLER = re.compile(r"^  (\w+): \(page", re.M)
FOR_THE_SOCKET = {"pong"}  # static/js/chat/socket.js takes any frame as a sign of life
SENT = re.compile(r"(?:type: |#change\()\"(\w+)\"")


def scripts():
    return "".join(path.read_text(encoding="utf-8") for path in sorted(CHAT_JS.glob("*.js")))


def test_the_page_handles_every_frame_that_it_gets():
    (table,) = TABLE.findall(scripts())
    assert sorted([*HANDLER.findall(table), *FOR_THE_SOCKET]) == sorted(OUTGOING)


def test_the_page_sends_every_command():
    types = {command.model_fields["type"].annotation.__args__[0] for command in COMMANDS}
    assert set(SENT.findall(scripts())) == types


def test_every_command_is_tried_on_what_is_not_mine():
    assert set(TRIES) == set(COMMANDS)


HUGE = [str(2**53), str(2**70), "1" + "0" * 400, "-1" + "0" * 400, "1e400", "9" * 5000]


@pytest.mark.parametrize("number", HUGE)
@pytest.mark.parametrize(
    "frame",
    [
        '{{"type": "open", "chat": "{id}", "after": {number}}}',
        '{{"type": "submit", "id": "{id}", "chat": "{id}", "kind": "chat", "revision": {number}}}',
        '{{"type": "choose", "message": "{id}", "position": {number}, "revision": 1}}',
        '{{"type": "edit", "message": "{id}", "text": "x", "revision": {number}}}',
        '{{"type": "why", "message": "{id}", "position": {number}}}',
        '{{"type": "added", "message": "{id}", "position": {number}}}',
    ],
)
def test_a_number_beyond_reason_is_refused_before_anything_is_done(frame, number):
    """10 to the power of 400 was an exception that nobody expected, and ended the connection with 1011."""
    text = frame.format(id="a" * 32, number=number)
    with pytest.raises(ValidationError):
        parse_command(text)


@pytest.mark.parametrize("number", HUGE[2:])
def test_a_setting_beyond_reason_is_refused(number):
    """A setting of 2**70 is a number that the store refuses, by its range."""
    text = f'{{"type": "setup", "chat": "{"a" * 32}", "settings": {{"temperature": {number}}}}}'
    with pytest.raises(ValidationError):
        parse_command(text)


def test_numbers_within_reason_are_taken():
    frame = parse_command(
        '{"type": "setup", "chat": "%s", "settings": {"seed": 4294967294, "top_p": 0.5}}' % ("a" * 32)
    )
    assert frame.settings == {"seed": 4294967294, "top_p": 0.5}
