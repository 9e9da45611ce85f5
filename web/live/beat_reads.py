"""A pulse: what tabs want to know at one beat, each thing read once, when the first of them asks.

What it does: hundreds of tabs beat together; who is signed in, how a turn stands and where its stream ends is the same
for all of them.
What it refuses to know: what a tab makes of it (tab_session.py, viewer.py).
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from store import accounts, turns
from store.broker import events
from store.db import Database
from store.views import TurnView, UserView
from web.live.outgoing import LiveMessage

log = logging.getLogger(__name__)


class BeatReads:
    """What is read at one beat. Safe for threads; make a new one for every beat."""

    def __init__(self, database: Database, redis: Redis, at: float | None = None) -> None:
        self._database, self._redis = database, redis
        self.at = time.monotonic() if at is None else at
        self._reading = threading.Lock()
        self._asked = False
        self._epochs: Mapping[str, int] | None = None
        self._turns: dict[str, TurnView] = {}
        self._tails: dict[str, events.Tail | None] = {}
        self._streams: dict[tuple[str, int], Sequence[LiveMessage]] = {}

    def signed_in(self, person: UserView) -> bool:
        """Whether a cookie of this person, as they were when it was read, still counts.

        A database that does not answer signs nobody out: every command asks again.
        """
        with self._reading:
            if not self._asked:
                self._asked, self._epochs = True, self._read_epochs()
            return self._epochs is None or self._epochs.get(person.id) == person.session_epoch

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
        """What the stream of a turn has after `after_seq`; nothing when Redis does not answer."""
        with self._reading:
            wanted = (turn_id, after_seq)
            if wanted not in self._streams:
                self._streams[wanted] = read_stream(self._redis, turn_id, after_seq)
            return self._streams[wanted]

    def _read_epochs(self) -> Mapping[str, int] | None:
        try:
            return accounts.session_epochs(self._database)
        except SQLAlchemyError as error:
            log.warning("Who is signed in could not be read: %s", error)
            return None

    def _read_tail(self, turn_id: str) -> events.Tail | None:
        try:
            return events.tail(self._redis, turn_id)
        except RedisError as error:
            log.debug("The stream of turn %s cannot be read: %s", turn_id, error)
            return None


def read_stream(redis: Redis, turn_id: str, after_seq: int) -> Sequence[LiveMessage]:
    """What the stream of a turn has after `after_seq`; nothing when Redis does not answer."""
    try:
        return [LiveMessage(event) for event in events.read(redis, turn_id, after_seq)]
    except RedisError as error:
        log.debug("The stream of turn %s cannot be read: %s", turn_id, error)
        return ()
