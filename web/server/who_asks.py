"""Who asks: the key under which the pace of a request is counted, from its head, before a thread reads it.

What it does: a person by the signed session cookie, browsers in which somebody was signed in by their own signed
cookie, strangers by their address: where all addresses look like one, strangers slow only strangers. Watchers of the
server (health, numbers) have a key of their own beside other strangers. A made-up cookie counts for nothing.
What it refuses to know: whether a session has ended meanwhile (store/sign_ins.py): its cookie still names its person.
"""

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import BadData
from werkzeug.sansio.http import parse_cookie

from web.auth import known_browsers
from web.pace import person_key

WATCHED = ("/healthz", "/metrics")


class WhoAsks:
    """For the main loop; reads the keys of the cookies once."""

    def __init__(self, app: Flask) -> None:
        interface = app.session_interface
        assert isinstance(interface, SecureCookieSessionInterface)
        self._sessions, self._session_cookie = interface.get_signing_serializer(app), interface.get_cookie_name(app)
        self._browsers = known_browsers.signer(app)

    def key(self, cookies: str, path: str, address: str) -> str:
        """The key of a request with this Cookie header, for this path, from this address."""
        named = parse_cookie(cookies) if cookies else {}
        user_id = self._user_id(named.get(self._session_cookie, ""))
        if user_id:
            return person_key(user_id)
        _, people = known_browsers.read(self._browsers, named.get(known_browsers.COOKIE, ""))
        if people:
            return f"browsers:{min(people)}"  # all browsers of these people: to sign in once more gives no more
        return f"watch:{address}" if path in WATCHED else f"address:{address}"

    def _user_id(self, cookie: str) -> str:
        if not cookie or self._sessions is None:
            return ""
        try:
            signed_in = self._sessions.loads(cookie).get("_user_id", "")  # as Flask-Login keeps it: id:epoch (app.py)
        except (BadData, AttributeError):
            return ""
        return str(signed_in).partition(":")[0]
