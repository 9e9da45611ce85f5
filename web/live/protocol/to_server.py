"""Frames from a tab to the server: the commands, each a class that pydantic checks strictly.

Handlers: commands.py has those from `OpenChat` to `Ping` (turns, reading along), note_changes.py those of
notes, changes.py the rest (changes by hand).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from store.turns.kinds import FOLLOWING, KINDS

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
MOST = 2**53 - 1  # the largest whole number that JavaScript, JSON and every store behind this hold exactly
MOST_ORDINAL = 2**31 - 1  # of what is counted in a column of the database
Count = Annotated[int, Field(ge=0, le=MOST)]
Ordinal = Annotated[int, Field(ge=0, le=MOST_ORDINAL)]
Number = Annotated[int, Field(ge=-MOST, le=MOST)] | Annotated[float, Field(allow_inf_nan=False)]
"""Numbers are bounded here, before anything is done with them."""
TurnKind = Annotated[str, Field(pattern=f"^({'|'.join(KINDS)})$")]
FollowUp = Annotated[str, Field(pattern=f"^({'|'.join(FOLLOWING)})$")]


StopText = Annotated[str, Field(max_length=200)]
SettingsMap = Annotated[dict[str, Number | Annotated[list[StopText], Field(max_length=32)]], Field(max_length=32)]
"""Settings of a chat by name: numbers, and the list of texts at which a reply ends."""


MemorySwitches = Annotated[dict[Annotated[str, Field(max_length=20)], bool], Field(max_length=8)]
"""Switches of a chat's long-term memory by name."""


class CommandFrame(BaseModel):
    """What all commands share: exact types, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class OpenChat(CommandFrame):
    """Show a chat, and its live messages from now on. Answer: `opened`, then the events of its running turn.

    `turn`, `after` and `stream`: the turn that the tab knows, the `seq` of the last event that it has, of which stream.
    """

    type: Literal["open"]
    chat: Id
    turn: Id | None = None
    after: Count = 0
    stream: str | None = Field(None, max_length=64)


class SubmitTurn(CommandFrame):
    """Begin this turn, and `then` these parts of it. Answer: `ack`.

    `text`: what the person says, a hint to the narrator, or what the new alternative of a retry begins with.
    `id` is made by the tab and is an idempotency key: the same turn sent again is acknowledged and not done twice.
    """

    type: Literal["submit"]
    id: str = Field(max_length=64)
    chat: Id
    kind: TurnKind
    revision: Ordinal
    text: str = ""
    then: tuple[FollowUp, ...] = Field((), max_length=3)


class StopTurn(CommandFrame):
    """Stop a turn; what was written so far stays. No answer: the event `cancelled` tells the end."""

    type: Literal["stop"]
    turn: Id


class ChooseAlternative(CommandFrame):
    """Make another alternative of a message the one that counts. No answer: `changed` tells it to every tab."""

    type: Literal["choose"]
    message: Id
    position: Ordinal
    revision: Ordinal


class Ping(CommandFrame):
    """Is the server there? Answer: `pong`."""

    type: Literal["ping"]


class MessageChange(CommandFrame):
    """A change of one message. `revision`: the chat's, as the person saw it. Answer: `changed` with `by` and `now`."""

    message: Id
    revision: Ordinal


class EditMessage(MessageChange):
    """Give a message another text. `seen`: the checksum (CRC-32 of UTF-8) of the text that the person began to edit."""

    type: Literal["edit"]
    text: str
    seen: Annotated[int, Field(ge=0, lt=2**32)] | None = None


class DeleteMessage(MessageChange):
    """Take a message out of the chat."""

    type: Literal["delete"]


class RestoreMessage(MessageChange):
    """Undo a delete."""

    type: Literal["restore"]


class DeleteBelow(MessageChange):
    """Take everything after a message out of the chat."""

    type: Literal["delete_below"]


class RestoreBelow(MessageChange):
    """Undo the newest delete of what came after a message."""

    type: Literal["restore_below"]


class PinMessage(MessageChange):
    """Keep a message in the model's context window, or no longer."""

    type: Literal["pin"]
    pinned: bool


class BranchChat(CommandFrame):
    """Make a new chat that is the same up to this message. Answer: `branched`."""

    type: Literal["branch"]
    message: Id


class StartOver(CommandFrame):
    """Make a new chat with the same character, settings and notes, from the greeting on. Answer: `branched`."""

    type: Literal["start_over"]
    chat: Id


class SetUpChat(CommandFrame):
    """Set the title, the notes, the person's name and description, the sampler or the lorebooks. Answer: `setup`.

    A field that is left out stays as it is. `persona`: the name and description are those of this persona.
    """

    type: Literal["setup"]
    chat: Id
    title: str | None = None
    author_note: str | None = None
    reference: str | None = None
    user_name: str | None = Field(None, max_length=200)
    user_persona: str | None = None
    persona: Id | None = None
    settings: SettingsMap | None = None
    books: list[Id] | None = Field(None, max_length=32)
    memory: MemorySwitches | None = None


class ShowNotes(CommandFrame):
    """The notes on what the model has forgotten of a chat. Answer: `notes`."""

    type: Literal["notes"]
    chat: Id


class NoteChange(CommandFrame):
    """A change of one note. `revision`: the chat's, as the person saw it. Answer: `note_changed`, then `notes`."""

    note: Id
    revision: Ordinal


class EditNote(NoteChange):
    """Give a note another text."""

    type: Literal["edit_note"]
    text: str = Field(max_length=8_000)


class PinNote(NoteChange):
    """Keep a note in the prompt before others, or no longer."""

    type: Literal["pin_note"]
    pinned: bool


class RewriteNote(NoteChange):
    """Let the model write a note again."""

    type: Literal["rewrite_note"]


class DeleteNote(NoteChange):
    """Take a note out of the chat."""

    type: Literal["delete_note"]


class RestoreNote(NoteChange):
    """Undo the delete of a note."""

    type: Literal["restore_note"]


class SavePreset(CommandFrame):
    """Keep settings under a name, or give the preset of this name these settings. Answer: `presets`."""

    type: Literal["save_preset"]
    name: str = Field(max_length=200)
    settings: SettingsMap


class DeletePreset(CommandFrame):
    """Forget a preset. Answer: `presets`."""

    type: Literal["delete_preset"]
    preset: Id


class ShowProbabilities(CommandFrame):
    """The tokens of an alternative with their probabilities. Answer: `why`."""

    type: Literal["why"]
    message: Id
    position: Ordinal


class ShowLoreUsed(CommandFrame):
    """The lorebook entries in the prompt of an alternative. Answer: `added`."""

    type: Literal["added"]
    message: Id
    position: Ordinal


class ShowPrompt(CommandFrame):
    """What the model read for an alternative. Answer: `prompt`."""

    type: Literal["prompt"]
    message: Id
    position: Ordinal


Command = Annotated[
    OpenChat
    | SubmitTurn
    | StopTurn
    | ChooseAlternative
    | Ping
    | EditMessage
    | DeleteMessage
    | RestoreMessage
    | DeleteBelow
    | RestoreBelow
    | PinMessage
    | BranchChat
    | StartOver
    | SetUpChat
    | ShowNotes
    | EditNote
    | PinNote
    | RewriteNote
    | DeleteNote
    | RestoreNote
    | SavePreset
    | DeletePreset
    | ShowProbabilities
    | ShowLoreUsed
    | ShowPrompt,
    Field(discriminator="type"),
]
_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


def parse_command(text: str | bytes) -> Command:
    """The command in a frame of a tab. Raises pydantic's ValidationError."""
    return _COMMAND.validate_json(text)
