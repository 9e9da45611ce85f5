"""What all commands of a tab share: exact frames, and what a handler is given.

What it refuses to know: which commands there are (commands.py, changes.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from web.live.viewer import Viewer
from web.services import Services

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Reply = Mapping[str, Any]


class CommandFrame(BaseModel):
    """What all frames share: exact types, nothing unknown."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


@dataclass(frozen=True)
class Caller:
    """Who asks, and the ways to answer that a handler may need."""

    services: Services
    user_id: str
    viewer: Viewer
    watch: Callable[[str], None]  # from now on this tab gets the live messages of the chat
    answer: Callable[[Reply], None]  # sent before anything that is done later
    later: Callable[[Callable[[], None]], None]  # run by the writer thread, in order with all that is sent


Handler = Callable[[Caller, Any], Reply | None]
