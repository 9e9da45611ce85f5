"""Values about stories: chats, messages and their alternatives, turns, and what a worker needs to continue a chat.

`MessageView.as_dict` is THE message JSON of events; web adds to it (serializers.py): `html` in all messages, `why` and
`lore` in those of HTTP, `opened` and `ack`, so a message in `done` has fewer fields than one in `opened`.
Callers import everything from `store.views`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from store.errors import Failure
from store.models import ENDED, RUNNING, UNFINISHED, Alternative, Character, Chat, Message, Turn
from store.views.from_row import view_of
from store.views.memory import StoryNote
from store.views.people import CharacterView, LorebookView
from store.views.token_bytes import unpack_tokens


@dataclass(frozen=True)
class ChatView:
    """A chat, with the name and the picture of its character for lists and headings."""

    id: str
    owner_id: str
    character_id: str
    character_name: str
    avatar: str
    title: str
    revision: int
    user_name: str
    user_persona: str
    author_note: str
    reference: str
    settings: dict[str, Any]
    window: dict[str, Any] = field(repr=False)
    created_at: float
    updated_at: float
    lore: dict[str, Any] = field(default_factory=dict, repr=False)
    memory: dict[str, Any] = field(default_factory=dict)
    introduced: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class AlternativeView:
    """One alternative of a message. `tokens` is None when unknown; they are valid for the model `model_key` only."""

    position: int
    text: str
    tokens: tuple[int, ...] | None = field(repr=False)
    model_key: str | None
    finish: str | None
    turn_id: str | None
    stats: dict[str, Any]
    status: dict[str, Any] | None
    created_at: float

    def as_dict(self) -> dict[str, Any]:
        """The part of the message JSON that is about this alternative; `recalled`: what a reply was reminded of."""
        shown = {"position": self.position, "text": self.text, "status": self.status and self.status["fields"]}
        recalled = self.stats.get("recalled")
        return {**shown, "recalled": recalled} if recalled else shown


@dataclass(frozen=True)
class MessageView:
    """One entry of a chat with all its alternatives, in the order of their positions."""

    id: str
    chat_id: str
    ordinal: int
    role: str
    name: str
    active: int
    pinned: bool
    alternatives: tuple[AlternativeView, ...]
    turn_id: str | None
    created_at: float

    @property
    def chosen(self) -> AlternativeView:
        """The active alternative."""
        return self.alternatives[self.active]

    @property
    def text(self) -> str:
        """The text of the active alternative."""
        return self.chosen.text

    def as_dict(self) -> dict[str, Any]:
        """The message JSON of events, web sockets and HTTP."""
        return {
            "id": self.id,
            "ordinal": self.ordinal,
            "role": self.role,
            "name": self.name,
            "active": self.active,
            "pinned": self.pinned,
            "alternatives": [alternative.as_dict() for alternative in self.alternatives],
            "turn_id": self.turn_id,
            "created_at": self.created_at,
        }


@dataclass(frozen=True)
class CommittedView(MessageView):
    """A message as it was just written, with the revision that its chat got in the same transaction."""

    revision: int


@dataclass(frozen=True)
class EndView:
    """What an ended turn wrote: the messages that it added or changed, in order, and a suggestion or None.

    `revision` is the chat's when this was read.
    """

    revision: int
    messages: tuple[MessageView, ...] = ()
    suggestion: str | None = None

    @property
    def message(self) -> MessageView | None:
        """The first of the messages."""
        return self.messages[0] if self.messages else None

    def as_dict(self) -> dict[str, Any]:
        """What events say about the end of a turn."""
        messages = [message.as_dict() for message in self.messages]
        return {
            "revision": self.revision,
            "message": messages[0] if messages else None,
            "messages": messages,
            "suggestion": self.suggestion,
        }


@dataclass(frozen=True)
class TurnView:
    """A turn at the moment of reading."""

    id: str
    chat_id: str
    owner_id: str
    kind: str
    state: str
    attempt: int
    params: dict[str, Any]
    user_message_id: str | None
    reply_message_id: str | None
    error_code: str | None
    error_text: str | None
    partial: str = field(repr=False)
    worker: str | None
    lease_until: float | None
    cancel_requested: bool
    created_at: float
    queued_at: float | None
    started_at: float | None
    ended_at: float | None
    updated_at: float
    stats: dict[str, Any]
    crashes: int
    result: dict[str, Any]

    @property
    def parts(self) -> tuple[str, ...]:
        """The kinds of its parts, in order: its own kind, then those of `then`."""
        return (self.kind, *self.params.get("then", ()))

    @property
    def failure(self) -> Failure:
        """Why it failed; of a turn that an older version ended only the English sentence is known."""
        error = self.result.get("error")
        if error:
            return Failure(error["reason"], error["values"])
        return Failure(self.error_code or "failed", {"message": self.error_text} if self.error_text else {})

    @property
    def unfinished(self) -> bool:
        """Whether it has not ended."""
        return self.state in UNFINISHED

    @property
    def running(self) -> bool:
        """Whether a worker has claimed it and not ended it."""
        return self.state in RUNNING

    @property
    def ended(self) -> bool:
        """Whether it is done, failed or cancelled."""
        return self.state in ENDED


@dataclass(frozen=True)
class OlderMessage:
    """A message before the window of its chat: what names its segment, without its text."""

    id: str
    role: str
    turn_id: str | None
    position: int


@dataclass(frozen=True)
class Story:
    """All that a worker needs to continue a chat. Card texts still have macros, message texts do not.

    `books` are the lorebooks that the chat uses beside the one in its character's card, `older` the messages that are
    out of its memory, `notes` what stands for such messages in the prompt.
    """

    chat: ChatView
    character: CharacterView
    messages: tuple[MessageView, ...]
    books: tuple[LorebookView, ...] = ()
    older: tuple[OlderMessage, ...] = ()
    notes: tuple[StoryNote, ...] = ()


def chat_view(row: Chat, character: Character) -> ChatView:
    """The value of a row and of its character's."""
    return view_of(ChatView, row, character_name=character.name, avatar=character.avatar)


def alternative_view(row: Alternative | Row[Any]) -> AlternativeView:
    """The value of a row."""
    return view_of(AlternativeView, row, tokens=unpack_tokens(row.tokens))


def message_view(row: Message | Row[Any], alternatives: Sequence[Alternative | Row[Any]]) -> MessageView:
    """The value of a row and of its alternatives', which come in the order of their positions."""
    return view_of(MessageView, row, alternatives=tuple(map(alternative_view, alternatives)))


def committed_view(message: MessageView, revision: int) -> CommittedView:
    """The same message, with the revision that the chat got when it was written."""
    return view_of(CommittedView, message, revision=revision)


def turn_view(row: Turn) -> TurnView:
    """The value of a row."""
    return view_of(TurnView, row)
