"""Kinds of turns: the one table of what each kind does, for store, web and worker. Pure.

What it does: KINDS says of each kind what its turn begins with, what it leaves behind, who speaks, and whether it may
stand in `then`. Every other list of kinds derives from it.
What it refuses to know: what a model reads for a kind (worker/prompt/turn_kinds.py, keyed by the same names).
To add a kind: an entry here; worker/prompt/turn_kinds.py lists every other place. A new Opening also needs a function
in begin.py, a new Result a place in `Outcome` (end.py). A test compares the tables of store, database and worker.
"""

from dataclasses import dataclass
from enum import Enum, auto

NARRATOR = "Narrator"
MODEL_ROLES = ("character", "narrator")
"""The roles of messages that a model writes: they can be written again and go on."""


class Opening(Enum):
    """What a turn begins with."""

    USER_MESSAGE = auto()  # the command's text becomes a message
    RETRY_OF = auto()  # the last message gets one more alternative
    CONTINUES = auto()  # the last message grows
    NOTHING = auto()


class Result(Enum):
    """What a turn leaves behind."""

    MESSAGE = auto()  # text in the transcript
    SUGGESTION = auto()  # a draft of the user's next line
    STATUS = auto()  # the fields of the status panel


@dataclass(frozen=True, slots=True)
class TurnKind:
    """One kind. `may_follow`: it may stand in `then`; `narrates`: the narrator speaks, and the text is a hint."""

    name: str
    opening: Opening = Opening.NOTHING
    result: Result = Result.MESSAGE
    may_follow: bool = False
    narrates: bool = False


KINDS: dict[str, TurnKind] = {
    kind.name: kind
    for kind in (
        TurnKind("chat", Opening.USER_MESSAGE),
        TurnKind("retry", Opening.RETRY_OF),
        TurnKind("continue", Opening.CONTINUES),
        TurnKind("narrate", may_follow=True, narrates=True),
        TurnKind("suggest", result=Result.SUGGESTION, may_follow=True),
        TurnKind("status", result=Result.STATUS, may_follow=True),
    )
}
FOLLOWING = tuple(kind.name for kind in KINDS.values() if kind.may_follow)
"""The kinds that may stand in `then`."""
REPLYING = tuple(kind.name for kind in KINDS.values() if kind.opening is not Opening.NOTHING)
"""The kinds that answer the user's last message, where it is the last one of the chat."""
