"""The events of a turn: an event log per turn (Redis stream) and live delivery per chat (pub/sub).

One Lua script writes both, so a subscriber that sees a gap in `seq` reads the missing events from the stream.

THE VOCABULARY. Every event is a JSON object with `turn`, `chat`, `attempt`, `seq` (1, 2, 3, ...), `stream` (a
random id of this numbering; another one means that Redis lost the old stream) and `type`:
    state      state: waiting | queued | waking | reading | writing; perhaps ahead (turns before this one), eta_s, done
               and total (tokens read so far and in all)
    part       part (0, 1, ...) of parts begins; kind, role and name say who writes what, message is the id of the
               message that gets another alternative (retry) or grows (continue), else null; perhaps begins (what
               the new alternative of a retry has already, and no text event says)
    text       part, offset (characters before this piece), text (the piece; when a message grows only what is new);
               a new attempt starts again at part 0 and offset 0, and what the old one wrote stays visible until then
    done       revision, messages (all that the turn added or changed, see MessageView.as_dict), message (the first of
               them or null), suggestion (a draft of the person's next line, or null)
    cancelled  the same, with what was written until then
    failed     error: {code, reason, values}, see errors.Failure; older workers wrote {code, message}
`done`, `cancelled` and `failed` are the last event of a turn: what comes after them is dropped. Events of an attempt
older than the last one seen are refused. Another `stream` than before means that Redis was emptied and the turn has a
new one, numbered from 1: read all of it, and the transcript when the turn ends. Streams live for a day, and for an hour
after their turn has ended.
What it refuses to know: the subscribers, and the database.
To add a type: here and in TYPES; in web/live (what a tab is told) and in static/js/chat (what the page does with it).
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from redis import Redis
from redis.connection import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError

from store.broker import keys
from store.errors import Stale
from store.views import EndView, TurnView

LAST_TYPES = frozenset({"done", "cancelled", "failed"})
TYPES = LAST_TYPES | {"state", "part", "text"}
UNFINISHED_TTL_S = 86_400
ENDED_TTL_S = 3_600

# KEYS = the streams of turns
# ARGV, for each of them:
#     the channel of its chat, the attempt, seconds to live, "1" when the last event ends the turn, else "0",
#     the id of the stream if it begins now, the last number that the writer knows (-1: begin anew), how many events,
#     and these: JSON objects without `seq`, which is put in front (nothing is decoded and encoded again)
# Returns for each the sequence numbers; none when the turn has ended; -1 when a newer attempt has written; -2, and
# nothing is written, when the stream has lost what the writer knows.
# In an entry, `last[1]` is its id and `last[2]` its names and values as in `fields`: [2] is the attempt, [4] "1" if it
# ends the turn, [6] the event, [8] the stream.
_APPEND = """
local answers, at = {}, 1
for i, key in ipairs(KEYS) do
    local channel, attempt, ttl, ends, stream, known, n = unpack(ARGV, at, at + 6)
    local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
    local seq, seqs = 0, {}
    if last and tonumber(last[2][2]) > tonumber(attempt) then
        seqs = {-1}
    elseif not last or last[2][4] ~= '1' then
        if last and known == '-1' then
            redis.call('DEL', key)
            last = nil
        end
        if last then
            seq = tonumber(string.match(last[1], '^%d+'))
            stream = last[2][8] or stream
        end
        if tonumber(known) > seq then
            seqs = {-2}
        else
            for j = at + 7, at + 6 + n do
                seq = seq + 1
                local number = string.format('%d', seq)
                local event = '{"seq":' .. number .. ',"stream":"' .. stream .. '",' .. string.sub(ARGV[j], 2)
                local ended = j == at + 6 + n and ends or '0'
                local fields = {'attempt', attempt, 'ended', ended, 'event', event, 'stream', stream}
                redis.call('XADD', key, number .. '-0', unpack(fields))
                redis.call('PUBLISH', channel, event)
                seqs[#seqs + 1] = seq
            end
            if not last or ends == '1' then redis.call('EXPIRE', key, ttl) end
        end
    end
    answers[i], at = seqs, at + 7 + n
end
return answers
"""
_APPEND_SHA = hashlib.sha1(_APPEND.encode(), usedforsecurity=False).hexdigest()

# KEYS = streams of turns. Returns for each 1 when its last event ends the turn, else 0.
_ENDED = """
local answers = {}
for i, key in ipairs(KEYS) do
    local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
    answers[i] = (last and last[2][4] == '1') and 1 or 0
end
return answers
"""
_STREAMS_PER_CALL = 100  # Redis does nothing else while the script runs

BEGIN_ANEW = -1  # for `AppendBatch.known`: in a stream of its own, whatever is there


class Refusal(Enum):
    """Why events were not written."""

    STALE = -1  # a newer attempt has written
    LOST = -2  # Redis has lost events (its last second, or all): write all of them again, with BEGIN_ANEW


Answer = list[int] | Refusal
"""Sequence numbers, none when the turn has ended; or why there are none."""


@dataclass(frozen=True)
class AppendBatch:
    """Events of one attempt at one turn, in order. `known`: the last sequence number that their writer was given."""

    chat_id: str
    turn_id: str
    attempt: int
    events: Sequence[dict[str, Any]]
    known: int = 0


def append(redis: Redis, chat_id: str, turn_id: str, attempt: int, events: Sequence[dict[str, Any]]) -> list[int]:
    """Write and publish events; returns their sequence numbers, none when the turn has ended. Raises Stale."""
    seqs = append_all(redis, [AppendBatch(chat_id, turn_id, attempt, events)])[0]
    if isinstance(seqs, Refusal):
        raise Stale(turn_id, attempt)
    return seqs


def append_all(redis: Redis, batches: Sequence[AppendBatch]) -> list[Answer]:
    """`append` for many turns in one call."""
    return _numbers(redis.execute_command("EVAL", _APPEND, *_call(batches)))  # type: ignore[no-untyped-call]


class Appender:
    """`append_all` over a dedicated connection, for one thread that writes every piece of text.

    The client's way through its pool takes twice the CPU time.
    """

    def __init__(self, redis: Redis) -> None:
        self._pool = redis.connection_pool
        self._connection: Connection | None = None

    def append_all(self, batches: Sequence[AppendBatch]) -> list[Answer]:
        """As above. Raises RedisError; the next call connects again."""
        call = _call(batches)
        try:
            return _numbers(self._ask("EVALSHA", _APPEND_SHA, *call))
        except NoScriptError:
            return _numbers(self._ask("EVAL", _APPEND, *call))

    def _ask(self, *command: str | int) -> Any:
        if self._connection is None:
            self._connection = self._pool.get_connection()
        try:
            return self._exchange(self._connection, command)
        except RedisConnectionError:  # an idle connection was closed, or Redis was restarted
            return self._exchange(self._connection, command)

    def _exchange(self, connection: Connection, command: Sequence[str | int]) -> Any:
        connection.send_command(*command)  # type: ignore[no-untyped-call]
        return connection.read_response()

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._pool.release(self._connection)
            self._connection = None


def read(redis: Redis, turn_id: str, after_seq: int = 0) -> list[dict[str, Any]]:
    """The events of a turn that came after `after_seq`, in order."""
    entries: Any = redis.xrange(keys.turn_events(turn_id), min=f"{after_seq + 1}-0")
    return [decode(fields[b"event"]) for _, fields in entries]


@dataclass(frozen=True)
class Tail:
    """Where a stream ends: its last sequence number, and which stream it is."""

    seq: int
    stream: str


def tail(redis: Redis, turn_id: str) -> Tail | None:
    """Where the stream of a turn ends; None when there is no stream (yet, or any more)."""
    last: Any = redis.xrevrange(keys.turn_events(turn_id), count=1)
    return Tail(int(last[0][0].split(b"-")[0]), last[0][1][b"stream"].decode()) if last else None


def has_ended(redis: Redis, turn_ids: Sequence[str]) -> list[bool]:
    """For each turn whether its last event is there; a script in Redis reads the streams."""
    streams = [keys.turn_events(turn_id) for turn_id in turn_ids]
    with redis.pipeline(transaction=False) as pipe:
        for start in range(0, len(streams), _STREAMS_PER_CALL):
            some = streams[start : start + _STREAMS_PER_CALL]
            pipe.eval(_ENDED, len(some), *some)
        return [answer == 1 for answers in pipe.execute() for answer in answers]


def publish_unnumbered(redis: Redis, chat_id: str, event: Mapping[str, Any]) -> None:
    """Publish something to every tab on a chat that belongs to no turn: without `seq`, and in no stream."""
    redis.publish(keys.chat_channel(chat_id), json.dumps(event))


def publish_titled(redis: Redis, person_id: str, chat_id: str) -> None:
    """Tell every tab of its owner that a story has another title; each reads it when it hears of it."""
    redis.publish(keys.people_channel(), json.dumps(titled(person_id, chat_id)))


def titled(person_id: str, chat_id: str) -> dict[str, Any]:
    """The message of `publish_titled`. It has no `chat`: tabs that show another story, or none, hear of it, too."""
    return {"type": "titled", "person": person_id, "story": chat_id}


def decode(data: bytes) -> dict[str, Any]:
    """An event as it came from a stream or a channel."""
    event: dict[str, Any] = json.loads(data)
    return event


def ending(turn: TurnView, end: EndView) -> dict[str, Any]:
    """The last event of a turn, from what the database says about it."""
    if turn.state == "failed":
        return {"type": "failed", "error": turn.failure.as_dict()}
    return {"type": turn.state, **end.as_dict()}


def _call(batches: Sequence[AppendBatch]) -> list[str | int]:
    """The arguments of the script: the number of keys, the keys, ARGV."""
    arguments = [argument for batch in batches for argument in _arguments(batch)]
    return [len(batches), *(keys.turn_events(batch.turn_id) for batch in batches), *arguments]


def _numbers(answers: Any) -> list[Answer]:
    return [Refusal(answer[0]) if answer and answer[0] < 0 else list(answer) for answer in answers]


def _arguments(batch: AppendBatch) -> list[str | int]:
    ends = [event["type"] in LAST_TYPES for event in batch.events]
    if not ends or True in ends[:-1]:
        raise ValueError("Expected at least one event, and the end of the turn only as the last one.")
    ttl_s = ENDED_TTL_S if ends[-1] else UNFINISHED_TTL_S
    lines = [_encode(batch, event) for event in batch.events]
    whose, stream = (keys.chat_channel(batch.chat_id), batch.attempt), secrets.token_hex(4)
    return [*whose, ttl_s, int(ends[-1]), stream, batch.known, len(lines), *lines]


def _encode(batch: AppendBatch, event: dict[str, Any]) -> str:
    if event["type"] not in TYPES:
        raise ValueError(f"{event['type']!r} is no type of event: expected one of {', '.join(sorted(TYPES))}.")
    common = {"turn": batch.turn_id, "chat": batch.chat_id, "attempt": batch.attempt}
    return json.dumps({**common, **event}, ensure_ascii=False, separators=(",", ":"))
