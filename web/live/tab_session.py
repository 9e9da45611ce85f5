"""A tab from handshake to goodbye: joins the connection, the viewer, the commands and the hub.

What it refuses to know: what any of them does.
"""

from collections.abc import Callable, Mapping
from typing import Any

from redis.exceptions import RedisError
from simple_websocket import Server
from sqlalchemy.exc import SQLAlchemyError

from store import accounts
from store.views import UserView
from web import errors
from web.i18n.language import marked
from web.live import commands
from web.live.beat_reads import BeatReads
from web.live.caller import Caller
from web.live.connection import Connection
from web.live.viewer import Viewer
from web.services import Services

SIGNED_OUT = marked("You are signed out.")


class TabSession:
    """One open tab of one person; the hub knows it as a Tab."""

    def __init__(self, services: Services, person: UserView, language: str, ws: Server) -> None:
        self._services, self._person = services, person
        user_id = person.id
        self._connection = Connection(ws, language)
        self._viewer = Viewer(services, user_id, self._connection.send)
        connection = self._connection
        self._caller = Caller(services, user_id, self._viewer, self._watch, connection.post_payload, connection.post)

    def run(self) -> None:
        """Serve the tab until it is closed."""
        self._services.hub.join(self)
        try:
            self.deliver(self._services.maintenance.notice())
            self._connection.serve(self._execute)
        finally:
            self._services.hub.leave(self)

    def deliver(self, payload: Mapping[str, Any]) -> None:
        """A live message: of a chat, or, without one, for everybody."""
        if "chat" in payload:
            self._later(lambda: self._viewer.event(payload))
        else:
            self._connection.post_payload(payload)

    def beat(self, reads: BeatReads) -> None:
        """Look for what may have been lost, whether the person is still signed in, and whether the peer listens."""
        if not reads.signed_in(self._person):
            self._sign_out()
            return
        self._connection.drop_if_dead()
        if self._viewer.busy:
            self._later(lambda: self._viewer.beat(reads))

    def queues_moved(self) -> None:
        """Say the place of a waiting turn again."""
        if self._viewer.waiting:
            self._later(self._viewer.say_place)

    def close(self, code: int, reason: str) -> None:
        """Say goodbye."""
        self._connection.close(code, reason)

    def abort(self) -> None:
        """End it now."""
        self._connection.abort()

    def _later(self, call: Callable[[], None]) -> None:
        self._connection.post(call)

    def _watch(self, chat_id: str) -> None:
        self._services.hub.watch(self, chat_id)

    def _signed_in(self) -> bool:
        """Whether the cookie of this tab still counts; if not, the tab is closed (its next handshake gets a 401)."""
        now = accounts.get_user(self._services.database, self._person.id)
        if now is not None and now.session_epoch == self._person.session_epoch:
            return True
        self._sign_out()
        return False

    def _sign_out(self) -> None:
        self._connection.close(1008, SIGNED_OUT)

    def _execute(self, frame: str | bytes) -> None:
        try:
            if not self._signed_in():
                return
            reply = commands.execute(self._caller, frame)
        except (RedisError, SQLAlchemyError):
            reply = {"type": "refused", "id": None, **errors.error_json(*errors.NOT_NOW)}
        if reply is not None:
            self._connection.post_payload(reply)
