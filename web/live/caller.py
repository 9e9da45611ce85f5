"""The caller: whose tab sent a command, and the ways to answer that a handler may need.

What it refuses to know: which commands there are (protocol/to_server.py) and what they do (commands.py, changes.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from web.live.protocol.to_tab import Frame
from web.live.viewer import Viewer
from web.services import Services


@dataclass(frozen=True)
class Caller:
    """One tab of a signed-in person, for the handlers of its commands. None of the calls blocks."""

    services: Services
    user_id: str
    viewer: Viewer
    reply: Callable[[Frame], None]  # send a frame to this tab only
    watch: Callable[[str], None]  # from now on this tab gets the live messages of the chat with this id
    later: Callable[[Callable[[], None]], None]  # run in the writer thread, in order with everything that is sent


Handler = Callable[[Caller, Any], None]
"""Does one command. Replies first (`caller.reply`), then tells every tab on the chat (`services.hub.publish`).

The page that asked ignores what the reply has told it already.
"""
