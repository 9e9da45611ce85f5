"""The page and the server speak the same protocol: web/live/protocol/ against the commands and static/js/chat."""

import re
from pathlib import Path

from test_live_foreign import TRIES

from web.live.commands import COMMANDS
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
