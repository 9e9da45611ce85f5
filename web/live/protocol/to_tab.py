"""Frames from the server to a tab, each a TypedDict; its docstring names the modules that build it.

A frame with `seq` is an event of a turn (`TurnEvent`); a frame without `seq` is about the chat or the installation now.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from web.serializers import EndedJson, MemoryJson, PresetJson, SetupJson, SuggestionJson, TurnJson, UnansweredJson

Frame = Mapping[str, Any]
"""Any frame to a tab, where its shape does not matter."""


class Opened(SetupJson):
    """Answer to `open` (snapshot.py, viewer.py): the chat as it is now. Events of `turn` follow from `after` + 1 on."""

    type: Literal["opened"]
    chat: str
    revision: int
    earlier: bool  # whether there are messages before these
    messages: list[dict[str, Any]]  # MessageView.as_dict, with HTML
    turn: TurnJson | None  # under way
    unanswered: UnansweredJson | None  # the newest turn, if it ended without a reply
    suggestion: SuggestionJson | None
    memory: MemoryJson
    after: int
    ended: EndedJson | None  # how the turn that the tab named has ended, if it has


class Ack(TypedDict):
    """Answer to `submit` (commands.py): the turn is in SQL and will be done or failed, whatever crashes."""

    type: Literal["ack"]
    id: str
    state: str
    revision: int
    message: dict[str, Any] | None  # what the person said, as a message
    minutes_left: int | None  # of the daily limit


class RefusedFrame(TypedDict):
    """A command was not done (commands.py), or something could not be read (connection.py, tab_session.py)."""

    type: Literal["refused"]
    id: str | None  # of the turn that was not begun
    error: Mapping[str, Any]  # {code, message}; before outgoing.py perhaps {code, reason, values}
    of: NotRequired[str]  # the `type` of the command


def refused(error: Mapping[str, Mapping[str, Any]], turn_id: str | None = None) -> RefusedFrame:
    """A refusal. `error`: JSON of web/errors.py; `turn_id`: of a turn that was not begun."""
    return {"type": "refused", "id": turn_id, "error": error["error"]}


class Pong(TypedDict):
    """Answer to `ping` (commands.py)."""

    type: Literal["pong"]


class Changed(TypedDict):
    """The chat has a newer revision: the page opens it again (viewer.py, for every tab on the chat).

    Also the answer to a change by hand (changes.py): `by` its type, `message` its subject, `now` what became of it.
    """

    type: Literal["changed"]
    chat: str
    revision: int
    turn: str | None  # that began or ended
    ended: NotRequired[bool]
    by: NotRequired[str]
    message: NotRequired[str]
    now: NotRequired[dict[str, Any] | None]


class Branched(TypedDict):
    """Answer to `branch` and `start_over` (changes.py): the new chat."""

    type: Literal["branched"]
    chat: str


class SetUp(SetupJson):
    """How the chat is set up now: answer to `setup` (changes.py), and to every other tab on the chat (viewer.py)."""

    type: Literal["setup"]
    chat: str


class Titled(TypedDict):
    """A story of the person has another title (viewer.py): for all of their tabs, whatever these show."""

    type: Literal["titled"]
    story: str
    title: str


class Presets(TypedDict):
    """Answer to `save_preset` and `delete_preset` (changes.py): the person's own presets now."""

    type: Literal["presets"]
    presets: Sequence[PresetJson]


class Memory(MemoryJson):
    """The model's context window has moved (viewer.py)."""

    type: Literal["memory"]
    chat: str


class Notes(TypedDict):
    """Answer to `notes` (note_changes.py): the notes of a chat that no other note replaces, oldest first."""

    type: Literal["notes"]
    chat: str
    notes: Sequence[Mapping[str, Any]]  # StoryNote.as_dict


class NoteChanged(TypedDict):
    """Answer to a change of a note (note_changes.py). `by`: the command."""

    type: Literal["note_changed"]
    chat: str
    revision: int
    note: str
    by: str


class Probabilities(TypedDict):
    """Answer to `why` (changes.py)."""

    type: Literal["why"]
    message: str
    position: int
    words: Sequence[Mapping[str, Any]]


class LoreUsed(TypedDict):
    """Answer to `added` (changes.py)."""

    type: Literal["added"]
    message: str
    position: int
    lore: Sequence[Mapping[str, Any]]


class Prompt(TypedDict):
    """Answer to `prompt` (changes.py): fields as in worker/prompt_record.py; None: not known (any more)."""

    type: Literal["prompt"]
    message: str
    position: int
    prompt: Mapping[str, Any] | None


class Place(TypedDict):
    """Where a waiting turn stands in the queue (viewer.py)."""

    type: Literal["place"]
    turn: str
    chat: str
    state: str
    ahead: int | None
    eta_s: float | None


class ServiceStatus(TypedDict):
    """What holds for the whole installation (server/maintenance.py), for every tab."""

    type: Literal["service_status"]
    trouble: str  # "", "redis", "worker", "paused" or "model" (it is being changed)
    change_s: int  # about how long that takes
    answering: str  # the names of the models that answer now; "" while there is none
    models: str  # the same with the names of their files
    announcement: dict[str, Any] | None


class TurnEvent(TypedDict):
    """What all events of a turn share; their own fields are described in store/broker/events.py."""

    type: Literal["state", "part", "text", "done", "cancelled", "failed"]
    turn: str
    chat: str
    attempt: int
    seq: int
    stream: str


OUTGOING: Mapping[str, type[Mapping[str, Any]]] = {
    "opened": Opened,
    "ack": Ack,
    "refused": RefusedFrame,
    "pong": Pong,
    "changed": Changed,
    "branched": Branched,
    "setup": SetUp,
    "titled": Titled,
    "presets": Presets,
    "memory": Memory,
    "notes": Notes,
    "note_changed": NoteChanged,
    "why": Probabilities,
    "added": LoreUsed,
    "prompt": Prompt,
    "place": Place,
    "service_status": ServiceStatus,
    **dict.fromkeys(("state", "part", "text", "done", "cancelled", "failed"), TurnEvent),
}
