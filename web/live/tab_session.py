"""The session of one tab, from handshake to close: wires the connection, the viewer, the commands and the hub together.

What it refuses to know: what any of them does.
"""

from collections.abc import Callable

from redis.exceptions import RedisError
from simple_websocket import Server
from sqlalchemy.exc import SQLAlchemyError

from store.sign_ins import find_signed_in
from store.views import UserView
from web import errors
from web.i18n.language import marked
from web.live import commands
from web.live.beat_reads import BeatReads
from web.live.caller import Caller
from web.live.connection import Connection
from web.live.protocol.to_tab import Frame, refused
from web.live.viewer import Viewer
from web.pace import person_key
from web.services import Services

SIGNED_OUT = marked("You are signed out.")


class TabSession:
    """One open tab of one person; the hub knows it as a Tab."""

    def __init__(self, services: Services, person: UserView, key: str, language: str, ws: Server) -> None:
        self._services, self._person, self._key = services, person, key
        user_id = person.id
        self._connection = Connection(ws, language, services.pace, person_key(user_id))
        self._viewer = Viewer(services, user_id, self._connection.send)
        post_frame, post = self._connection.post_frame, self._connection.post
        self._caller = Caller(services, user_id, self._viewer, post_frame, self._watch, post)

    def run(self) -> None:
        """Serve the tab until it is closed."""
        self._services.hub.join(self)
        try:
            self.deliver(self._services.maintenance.service_status())
            self._connection.serve(self._execute)
        finally:
            self._services.hub.leave(self)

    def deliver(self, frame: Frame) -> None:
        """Deliver a live message of a chat, one for the tabs of one person (`person`), or one for every tab."""
        if "chat" in frame:
            self._later(lambda: self._viewer.event(frame))
        elif "person" in frame:
            if frame["person"] == self._person.id:
                self._later(lambda: self._viewer.titled(frame))
        else:
            self._connection.post_frame(frame)

    def beat(self, reads: BeatReads) -> None:
        """Check that the person is still signed in and the peer alive; then look for events that pub/sub has lost."""
        if not reads.signed_in(self._person, self._key):
            self._sign_out()
            return
        self._connection.drop_if_dead()
        if self._viewer.busy:
            self._later(lambda: self._viewer.beat(reads))

    def queues_moved(self) -> None:
        """Send the place of a waiting turn again."""
        if self._viewer.waiting:
            self._later(self._viewer.queues_moved)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame."""
        self._connection.close(code, reason)

    def abort(self) -> None:
        """End the connection now."""
        self._connection.abort()

    def _later(self, call: Callable[[], None]) -> None:
        self._connection.post(call)

    def _watch(self, chat_id: str) -> None:
        self._services.hub.watch(self, chat_id)

    def _signed_in(self) -> bool:
        """Whether the cookie still counts, for the same role; if not, close the tab (its next handshake: 401, or the
        page as the new role sees it)."""
        person = self._person
        user = find_signed_in(self._services.database, person.id, person.session_epoch, self._key)
        if user is not None and user.role == person.role:
            return True
        self._sign_out()
        return False

    def _sign_out(self) -> None:
        self._connection.close(1008, SIGNED_OUT)

    def _execute(self, text: str | bytes) -> None:
        """Execute a command, unless the person has been signed out since the handshake."""
        try:
            if self._signed_in():
                commands.execute(self._caller, text)
        except (RedisError, SQLAlchemyError) as error:
            self._connection.post_frame(refused(errors.error_json(*errors.not_now(error))))
