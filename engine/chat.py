"""One conversation on an engine: a transcript, turned into wanted segments for each turn, kept in a JSON file.

This is the smallest complete user of the engine: `python -m engine` is a terminal around it, docs/engine.md explains
it. The worker does the same with a database. What it refuses to know: terminals, models, KV cells.
How: the transcript is the truth. Each turn says which segments it wants; when they would not fit any more, the oldest
messages are left out until the session is at three quarters of its context, never the persona.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from engine.engine import Engine
from engine.errors import RequestError
from engine.events import ENDS, Cancelled, Done, Event, Failed
from engine.sampling import SamplerSettings
from engine.segments import ReplySpec, Segment, TurnRequest
from engine.text.framing import Framing
from engine.ticket import Ticket


@dataclass(slots=True)
class Message:
    """What somebody said. `tokens` are the model's own, valid under `model_key`."""

    key: str
    role: str
    text: str
    tokens: tuple[int, ...] = ()
    model_key: str = ""


@dataclass(slots=True)
class Transcript:
    """Everything about a conversation that is worth keeping."""

    persona: str
    character: str = "Mira"
    user: str = "You"
    n_made: int = 0
    n_left_out: int = 0
    messages: list[Message] = field(default_factory=list)


class Exchange:
    """A reply in the making. Its message is in the transcript when `events` has ended."""

    def __init__(self, conversation: "Conversation", ticket: Ticket, begun: Message) -> None:
        self._conversation, self._ticket, self._begun = conversation, ticket, begun

    def cancel(self) -> None:
        """Stop writing; what was written is kept. `events` goes on to the end."""
        self._ticket.cancel()

    def events(self) -> Iterator[Event]:
        """What the engine says; may be asked for again after an interruption."""
        for event in self._ticket.events():
            if isinstance(event, ENDS):
                self._conversation.record_end(self._begun, event)
            yield event


class Conversation:
    """A conversation between one person and one character. `file` None: forgotten at the end."""

    def __init__(
        self,
        engine: Engine,
        transcript: Transcript,
        file: Path | None = None,
        max_tokens: int = 300,
        sampling: SamplerSettings | None = None,
    ) -> None:
        self._engine, self._file = engine, file
        self._framing = Framing(engine.backend, engine.backend.chat_template)
        self._max_tokens = min(max_tokens, engine.options.context // 4)
        self._sampling = sampling or SamplerSettings()
        self.transcript = _read(file) or transcript

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole transcript, oldest first."""
        return tuple(self.transcript.messages)

    def send(self, text: str) -> Exchange:
        """Say something, and have it answered. RequestError when it is too long; nothing is kept then."""
        self.transcript.messages.append(Message(self._key("user"), "user", text))
        try:
            return self._reply(Message(self._key("character"), "character", ""))
        except RequestError:
            self.transcript.messages.pop()
            raise

    def retry(self) -> Exchange:
        """Write the last reply again, or one that failed."""
        if not self.transcript.messages:
            raise RequestError("there is nothing to reply to: say something first")
        if self.transcript.messages[-1].role != "user":
            self.transcript.messages.pop()
        return self._reply(Message(self._key("character"), "character", ""))

    def continue_reply(self) -> Exchange:
        """Go on with the last reply where it ended."""
        begun = self._require_reply()
        self.transcript.messages.pop()
        try:
            return self._reply(begun, replace(self._sampling, ban_end=True))
        except RequestError:
            self.transcript.messages.append(begun)
            raise

    def record_end(self, begun: Message, end: Done | Cancelled | Failed) -> None:
        """A reply has ended: it becomes part of the transcript (called by Turn). What failed stays as it was."""
        message = begun
        if not isinstance(end, Failed):
            text = begun.text + end.text
            message = Message(begun.key, begun.role, text, end.tokens, self._engine.model_key)
        if message.text:
            self.transcript.messages.append(message)
        self._write()

    # -- from the transcript to a request ---------------------------------------------------------------------------

    def _reply(self, begun: Message, sampling: SamplerSettings | None = None) -> Exchange:
        name = self.transcript.character
        header, footer = self._framing.reply_header(begun.role, name), self._framing.footer(begun.role)
        reply = ReplySpec(
            f"{begun.key}.{self.transcript.n_made}",
            header,
            footer,
            sampling or self._sampling,
            self._max_tokens,
            self._framing.stop_strings([self.transcript.user]),
            self._own_tokens(begun),
        )
        request = self._request(reply)
        return Exchange(self, self._engine.submit(request), begun)

    def _request(self, reply: ReplySpec) -> TurnRequest:
        persona = Segment("persona", self._framing.segment("system", "", self.transcript.persona))
        messages = [self._segment(message) for message in self.transcript.messages]
        room = self._engine.options.context - len(persona.tokens) - reply.max_tokens
        room -= len(reply.header) + len(reply.prefix) + len(reply.footer)
        shown = messages[self.transcript.n_left_out :]
        if sum(len(segment.tokens) for segment in shown) > room:
            while len(shown) > 1 and sum(len(segment.tokens) for segment in shown) > room * 3 // 4:
                shown.pop(0)
            self.transcript.n_left_out = len(messages) - len(shown)
        forgotten = frozenset(segment.name for segment in messages[: self.transcript.n_left_out])
        return TurnRequest(str(self._file or id(self)), (persona, *shown), reply, forgotten)

    def _segment(self, message: Message) -> Segment:
        name = self.transcript.user if message.role == "user" else self.transcript.character
        if message.tokens and message.model_key == self._engine.model_key:
            return Segment(message.key, self._framing.segment_from_tokens(message.role, name, message.tokens))
        return Segment(message.key, self._framing.segment(message.role, name, message.text))

    def _own_tokens(self, message: Message) -> tuple[int, ...]:
        """The tokens of a reply that is to be continued, without its frame."""
        if not message.text:
            return ()
        header = self._framing.reply_header(message.role, self.transcript.character)
        footer = self._framing.footer(message.role)
        tokens = self._segment(message).tokens
        return tokens[len(header) : len(tokens) - len(footer)]

    def _require_reply(self) -> Message:
        if not self.transcript.messages or self.transcript.messages[-1].role == "user":
            raise RequestError("there is no reply yet: say something first")
        return self.transcript.messages[-1]

    def _key(self, role: str) -> str:
        self.transcript.n_made += 1
        return f"{role}:{self.transcript.n_made}"

    def _write(self) -> None:
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._file.with_suffix(".new")
            fresh.write_text(json.dumps(asdict(self.transcript)), encoding="utf-8")
            fresh.replace(self._file)


def _read(file: Path | None) -> Transcript | None:
    """A conversation from its file; nothing when there is none. RequestError when it is not one."""
    if file is None or not file.exists():
        return None
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        messages = [Message(**{**entry, "tokens": tuple(entry["tokens"])}) for entry in kept.pop("messages")]
        return Transcript(**kept, messages=messages)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RequestError(f"{file} is not a conversation ({error}): move it away, or name another folder") from error
