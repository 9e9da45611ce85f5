"""The publisher: sends the live events of all attempts in this worker in batches, over one Redis connection.

What it does: the engine's thread (reading, writing, text) and the RQ lanes (waking, part, the end) add events to the
buffer of their attempt (event_buffer.py) and wake this thread; it sends the pending events of all woken buffers in one
call and then rests, 6 ms per buffer, 40 ms at most. So what follows a silence (a first token) leaves at once, and a
lane waits for Redis only with the last event of its attempt.
Events of turns that no attempt has are not its business: web and recovery append those (`announce_...` in
store/broker/queue.py).
This thread wakes for each token and computes on the CPUs that decode the next one: it does as little as it can.
When Redis is away, events stay in their buffer and are sent when it answers again; a buffer that has ended is retried
for `KEEP_S`. When Redis has lost events (an old snapshot, or emptied) it refuses the batch, and the buffer is replayed
into a new stream. Live events are best effort; the transcript in SQL is the truth.
What it refuses to know: SQL, the engine, what an event means.
To add an event: event_buffer.py has the list of places.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from store.broker import events
from worker.event_buffer import Event, TurnEventBuffer

log = logging.getLogger(__name__)

INTERVAL_S = 0.04  # the longest rest between two calls
REST_S = 0.006  # the rest for one buffer: shorter than a token takes, so that on its own a chat never waits
GATHER_S = 0.001  # a state is likely to be followed by text: both go in one call
RETRY_S = 0.5
KEEP_S = 60.0


class TurnEvents:
    """The live events of one attempt, as its lane and the engine's thread announce them. Any thread may call."""

    def __init__(self, publisher: Publisher, buffer: TurnEventBuffer) -> None:
        self.buffer = buffer
        self._publisher = publisher

    def text(self, piece: str) -> None:
        """Announce a piece of the reply."""
        if piece:
            self.buffer.text(piece)
            self._publisher.wake(self.buffer)

    def part(
        self, part: int, parts: int, kind: str, role: str, name: str, message: str | None, begins: str = ""
    ) -> None:
        """Announce the next part of the turn; the arguments are those of `TurnEventBuffer.part`."""
        self.buffer.part(part, parts, kind, role, name, message, begins)
        self._publisher.wake(self.buffer)

    def state(self, state: str, **details: Any) -> None:
        """Announce what the turn is doing now."""
        if self.buffer.state(state, **details):
            self._publisher.wake(self.buffer, gather=True)

    def end(self, event: Event | None = None) -> None:
        """Announce the last event of the attempt and send it in this thread; without Redis the publisher retries."""
        self.buffer.end(event)
        if not self._publisher.send([self.buffer], unless_down=True):
            self._publisher.wake(self.buffer)


class Publisher:
    """Owns the thread and the connection over which all live events leave."""

    def __init__(
        self, redis: Redis, interval_s: float = INTERVAL_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.redis = redis
        self._clock = clock  # of the buffers
        self._interval_s = interval_s
        self._writing = threading.Lock()  # held during a call to Redis: keeps the events of a turn in order
        self._appender = events.Appender(redis)
        self._down = False
        self._woken: queue.SimpleQueue[tuple[TurnEventBuffer, bool] | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def open(self, chat_id: str, turn_id: str, attempt: int) -> TurnEvents:
        """The live events of one attempt at a turn."""
        return TurnEvents(self, TurnEventBuffer(chat_id, turn_id, attempt, self._clock))

    def wake(self, buffer: TurnEventBuffer, gather: bool = False) -> None:
        """Have `buffer` sent soon; `gather`: another event is likely to follow at once."""
        self._woken.put((buffer, gather))

    def send(self, buffers: Sequence[TurnEventBuffer], unless_down: bool = False) -> bool:
        """Send the pending events of these buffers in one call; False when Redis did not take all of them.

        `unless_down`: do not try when the last call failed (a hanging Redis would hold up one lane after the other).
        Raises whatever an event that cannot be encoded raises. If it was alone its batch is dropped, else none is.
        """
        with self._writing:
            if unless_down and self._down:
                return False
            unsent = {buffer: batch for buffer in buffers if (batch := buffer.take())}
            try:
                self._append(unsent)
            except RedisError as error:
                _put_back(unsent)
                self._log_outage(error)
                return False
            except Exception:  # an event that cannot be encoded, or RQ's time limit in the thread of a lane
                self._appender.close()  # an answer may be left in its connection; the pool notices
                if len(buffers) > 1:
                    _put_back(unsent)
                raise
        return True

    def _append(self, unsent: dict[TurnEventBuffer, list[Event]]) -> None:
        """Send the batches, and take out of `unsent` those that Redis has taken or refused for good."""
        if not unsent:
            return
        while unsent:  # the second round replays what Redis has lost: in a new stream, which it cannot refuse
            answers = self._appender.append_all([buffer.as_batch(batch) for buffer, batch in unsent.items()])
            for buffer, answer in zip(list(unsent), answers, strict=True):
                if answer is events.Refusal.LOST:
                    unsent[buffer] = buffer.replay(unsent[buffer])
                else:
                    buffer.acknowledge(answer)
                    del unsent[buffer]
        if self._down:
            log.info("Redis takes live events again")
        self._down = False

    def _log_outage(self, error: RedisError) -> None:
        """Log that Redis does not answer, once per outage."""
        if not self._down:
            log.warning("Redis does not take live events (%s): they wait until it does", error)
        self._down = True

    def close(self, timeout_s: float = 1.0) -> None:
        """Send what is left, if Redis answers, and end the thread."""
        self._closed.set()
        self._woken.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        next_at = 0.0
        while not self._closed.is_set():
            buffers, gather = self._wait_for_work()
            pause_s = max(next_at - time.monotonic(), GATHER_S if gather else 0.0)
            if pause_s > 0:
                self._closed.wait(pause_s)
                buffers |= self._more_work()
            self._send_or_retry(buffers)
            next_at = time.monotonic() + (RETRY_S if self._down else min(self._interval_s, REST_S * len(buffers)))
        self._send_or_retry(self._more_work())
        with self._writing:
            self._appender.close()

    def _wait_for_work(self) -> tuple[set[TurnEventBuffer], bool]:
        """Wait for a buffer with pending events; all woken ones, and whether to gather first."""
        first = self._woken.get()
        gather = first is not None and first[1]
        return ({first[0]} if first else set()) | self._more_work(), gather

    def _more_work(self) -> set[TurnEventBuffer]:
        more = set()
        while not self._woken.empty():
            if (woken := self._woken.get()) is not None:
                more.add(woken[0])
        return more

    def _send_or_retry(self, buffers: set[TurnEventBuffer]) -> None:
        """Send all of them, and wake again those that Redis did not take. Raises nothing."""
        try:
            sent = self.send(list(buffers))
        except Exception:  # noqa: BLE001 (an event that cannot be encoded must not hold up other turns)
            results = [self._send_alone(buffer) for buffer in buffers]
            sent = all(results)
        for buffer in buffers:
            if not sent and not self._is_too_old(buffer):
                self.wake(buffer)

    def _send_alone(self, buffer: TurnEventBuffer) -> bool:
        try:
            return self.send([buffer])
        except Exception:
            log.exception("turn %s: live events that cannot be sent are dropped", buffer.turn_id)
            return True

    def _is_too_old(self, buffer: TurnEventBuffer) -> bool:
        return buffer.ended_at is not None and self._clock() - buffer.ended_at > KEEP_S


def _put_back(unsent: dict[TurnEventBuffer, list[Event]]) -> None:
    for buffer, batch in unsent.items():
        buffer.put_back(batch)
