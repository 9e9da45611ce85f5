"""The reads of one beat: a read-through cache that all tabs of the process share, made anew for every beat of the hub.

What it does: hundreds of tabs beat together and ask for the same sign-ins, turns and ends of streams; the first
one reads, the others get its value.
What it refuses to know: what a tab does with them (tab_session.py, viewer.py).
"""

import logging
import threading
import time
from collections.abc import Sequence

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from store import sign_ins, turns
from store.broker import events
from store.db import Database
from store.sign_ins import SignIns
from store.views import TurnView, UserView
from web.live.outgoing import LiveMessage

log = logging.getLogger(__name__)


class BeatReads:
    """What is read at one beat, each thing at most once. Thread-safe."""

    def __init__(self, database: Database, redis: Redis, at: float | None = None) -> None:
        self._database, self._redis = database, redis
        self.at = time.monotonic() if at is None else at
        self._reading = threading.Lock()
        self._sign_ins_read = False
        self._sign_ins: SignIns | None = None
        self._turns: dict[str, TurnView] = {}
        self._tails: dict[str, events.Tail | None] = {}
        self._streams: dict[tuple[str, int], Sequence[LiveMessage]] = {}

    def signed_in(self, person: UserView, key: str) -> bool:
        """Whether the sign-in of a tab still counts, and the role is still the one that it was opened with.

        A database that does not answer signs nobody out: every command checks again.
        """
        with self._reading:
            if not self._sign_ins_read:
                self._sign_ins_read, self._sign_ins = True, self._read_sign_ins()
            return self._sign_ins is None or self._sign_ins.counts(person, key)

    def turn(self, turn_id: str) -> TurnView:
        """The turn. Raises NotFound."""
        with self._reading:
            if turn_id not in self._turns:
                self._turns[turn_id] = turns.get_turn(self._database, turn_id)
            return self._turns[turn_id]

    def tail(self, turn_id: str) -> events.Tail | None:
        """Where the stream of a turn ends; None when there is none, or Redis does not answer."""
        with self._reading:
            if turn_id not in self._tails:
                self._tails[turn_id] = self._read_tail(turn_id)
            return self._tails[turn_id]

    def missing(self, turn_id: str, after_seq: int) -> Sequence[LiveMessage]:
        """The events of a turn after `after_seq`, to refill a gap; none when Redis does not answer."""
        with self._reading:
            key = (turn_id, after_seq)
            if key not in self._streams:
                self._streams[key] = read_stream(self._redis, turn_id, after_seq)
            return self._streams[key]

    def _read_sign_ins(self) -> SignIns | None:
        try:
            return sign_ins.read_sign_ins(self._database)
        except SQLAlchemyError as error:
            log.warning("The sign-ins could not be read: %s", error)
            return None

    def _read_tail(self, turn_id: str) -> events.Tail | None:
        try:
            return events.tail(self._redis, turn_id)
        except RedisError as error:
            log.debug("The stream of turn %s cannot be read: %s", turn_id, error)
            return None


def read_stream(redis: Redis, turn_id: str, after_seq: int) -> Sequence[LiveMessage]:
    """The events in the stream of a turn after `after_seq`; none when Redis does not answer."""
    try:
        return [LiveMessage(event) for event in events.read(redis, turn_id, after_seq)]
    except RedisError as error:
        log.debug("The stream of turn %s cannot be read: %s", turn_id, error)
        return ()
