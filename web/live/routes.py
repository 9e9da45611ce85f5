"""The route of the web socket, /ws, with the gate and the socket guard in front of it."""

from flask import Blueprint, Flask, g, request, session
from flask_login import current_user
from flask_sock import Sock
from simple_websocket import Server

from web.auth.accounts import me
from web.auth.session_cookie import key_of
from web.errors import Problem
from web.i18n.language import gettext, language
from web.live import gate
from web.live.connection import ReaderThread
from web.live.socket_guard import SocketGuardMiddleware
from web.live.tab_session import TabSession
from web.services import services

PATH = "/ws"
MAX_FRAME_BYTES = 64 * 1024
SOCKET_OPTIONS = {"max_message_size": MAX_FRAME_BYTES, "ping_interval": 25, "thread_class": ReaderThread}

blueprint = Blueprint("live", __name__)
sock = Sock()


def init_app(app: Flask) -> None:
    """Register the route, the gate and the socket guard."""
    app.wsgi_app = SocketGuardMiddleware(app.wsgi_app, PATH)  # type: ignore[method-assign]
    app.before_request(_gate)
    app.teardown_request(_release_socket)
    app.register_blueprint(blueprint)


def _gate() -> None:
    """Check everything before the handshake, so that a refusal is plain HTTP."""
    if request.path != PATH:
        return
    gate.check_headers(request.headers)
    gate.check_origin(request.headers.get("Origin"), services().settings.origins)
    if not current_user.is_authenticated:
        raise Problem(401, "signed_out", gettext("Sign in first."))
    gate.take_place(services().socket_limiter, me().id)
    g.socket_of = me().id


def _release_socket(_error: BaseException | None) -> None:
    user_id = g.pop("socket_of", None)
    if user_id is not None:
        services().socket_limiter.release(user_id)


@sock.route(PATH, bp=blueprint)  # type: ignore[untyped-decorator]
def live(ws: Server) -> None:
    """Serve one tab, from handshake to close."""
    TabSession(services(), me(), key_of(session), language(), ws).run()
