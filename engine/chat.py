"""One conversation on an engine: a transcript in a JSON file, turned into wanted segments for each turn.

The smallest complete user of the engine: `python -m engine` is a terminal around it, docs/engine.md explains it. The
worker does the same with a database. What it refuses to know: terminals, models, KV cells.
How: the transcript is the truth. Each turn names the segments it wants. When they no longer fit into the context, the
oldest messages are left out until a quarter of the room is free; the persona always stays.
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
    """One message. A reply keeps the `tokens` that the model wrote, valid under `model_key`."""

    key: str
    role: str
    text: str
    tokens: tuple[int, ...] = ()
    model_key: str = ""


@dataclass(slots=True)
class Transcript:
    """The saved state of a conversation; its fields are the keys of the JSON file.

    `n_made` counts the keys given out, `n_left_out` the oldest messages that no longer fit into the context.
    """

    persona: str
    character: str = "Mira"
    user: str = "You"
    n_made: int = 0
    n_left_out: int = 0
    messages: list[Message] = field(default_factory=list)


class Exchange:
    """A line and the reply that is being written; the reply joins the transcript when `events` has ended."""

    def __init__(self, conversation: "Conversation", ticket: Ticket, unfinished: Message) -> None:
        self._conversation, self._ticket, self._unfinished = conversation, ticket, unfinished

    def cancel(self) -> None:
        """Stop the reply and keep its text so far. `events` still ends with Cancelled."""
        self._ticket.cancel()

    def events(self) -> Iterator[Event]:
        """The engine's events of this reply; may be called again after an interruption (Ctrl+C)."""
        for event in self._ticket.events():
            if isinstance(event, ENDS):
                self._conversation.record_end(self._unfinished, event)
            yield event


class Conversation:
    """A conversation between one person and one character. `file` None: not saved."""

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
        self.transcript = _load(file) or transcript

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole transcript, oldest first."""
        return tuple(self.transcript.messages)

    def send(self, text: str) -> Exchange:
        """Add a line and start the reply. Raises RequestError when it is too long, and leaves the transcript
        unchanged."""
        self.transcript.messages.append(Message(self._key("user"), "user", text))
        try:
            return self._reply(Message(self._key("character"), "character", ""))
        except RequestError:
            self.transcript.messages.pop()
            raise

    def retry(self) -> Exchange:
        """Start the last reply anew, or again after a failure. Raises RequestError without a message."""
        if not self.transcript.messages:
            raise RequestError("there is nothing to reply to: say something first")
        if self.transcript.messages[-1].role != "user":
            self.transcript.messages.pop()
        return self._reply(Message(self._key("character"), "character", ""))

    def continue_reply(self) -> Exchange:
        """Continue the last reply where it ended. Raises RequestError when there is none."""
        unfinished = self._require_reply()
        self.transcript.messages.pop()
        try:
            return self._reply(unfinished, replace(self._sampling, ban_end=True))
        except RequestError:
            self.transcript.messages.append(unfinished)
            raise

    def record_end(self, unfinished: Message, end: Done | Cancelled | Failed) -> None:
        """Add an ended reply to the transcript and save it (called by Exchange). After a failure it stays as it was."""
        message = unfinished
        if not isinstance(end, Failed):
            text = unfinished.text + end.text
            message = Message(unfinished.key, unfinished.role, text, end.tokens, self._engine.model_key)
        if message.text:
            self.transcript.messages.append(message)
        self._save()

    # -- from the transcript to a request ---------------------------------------------------------------------------

    def _reply(self, unfinished: Message, sampling: SamplerSettings | None = None) -> Exchange:
        name = self.transcript.character
        header, footer = self._framing.reply_header(unfinished.role, name), self._framing.footer(unfinished.role)
        reply = ReplySpec(
            f"{unfinished.key}.{self.transcript.n_made}",
            header,
            footer,
            sampling or self._sampling,
            self._max_tokens,
            self._framing.stop_strings([self.transcript.user], name),
            self._own_tokens(unfinished),
        )
        request = self._request(reply)
        return Exchange(self, self._engine.submit(request), unfinished)

    def _request(self, reply: ReplySpec) -> TurnRequest:
        persona = Segment("persona", self._framing.segment("system", "", self.transcript.persona))
        messages = [self._segment(message) for message in self.transcript.messages]
        n_free = self._engine.options.context - len(persona.tokens) - reply.max_tokens
        n_free -= len(reply.header) + len(reply.prefix) + len(reply.footer)
        recent = messages[self.transcript.n_left_out :]
        if sum(len(segment.tokens) for segment in recent) > n_free:
            while len(recent) > 1 and sum(len(segment.tokens) for segment in recent) > n_free * 3 // 4:
                recent.pop(0)
            self.transcript.n_left_out = len(messages) - len(recent)
        forgotten = frozenset(segment.name for segment in messages[: self.transcript.n_left_out])
        return TurnRequest(str(self._file or id(self)), (persona, *recent), reply, forgotten)

    def _segment(self, message: Message) -> Segment:
        name = self.transcript.user if message.role == "user" else self.transcript.character
        if message.tokens and message.model_key == self._engine.model_key:
            return Segment(message.key, self._framing.segment_from_tokens(message.role, name, message.tokens))
        return Segment(message.key, self._framing.segment(message.role, name, message.text))

    def _own_tokens(self, message: Message) -> tuple[int, ...]:
        """The tokens of the text of a reply that is to be continued, without header and footer."""
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

    def _save(self) -> None:
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._file.with_suffix(".new")
            temporary.write_text(json.dumps(asdict(self.transcript)), encoding="utf-8")
            temporary.replace(self._file)


def _load(file: Path | None) -> Transcript | None:
    """The transcript in a file; None when there is no file. Raises RequestError when the file is not a transcript."""
    if file is None or not file.exists():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        messages = [Message(**{**entry, "tokens": tuple(entry["tokens"])}) for entry in values.pop("messages")]
        return Transcript(**values, messages=messages)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RequestError(f"{file} is not a conversation ({error}): move it away, or name another folder") from error
