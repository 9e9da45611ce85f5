"""The session cookie: signed, HttpOnly, Secure over https, 30 days after its last use; and the key of its session.

What it does: a cookie from the future is as good as one from now: a clock that was set back signs nobody out. Every
sign-in has a key of its own, under which signing out ends it in SQL (store/sign_ins.py). A cookie from before there
were keys has one, too: its CSRF token, which is as random and as old as the session.
What it refuses to know: accounts.
"""

import hashlib
import secrets
import time
from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Request, g, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from itsdangerous import BadSignature

_KEY, _OLD_KEY = "session", "csrf_token"


class SessionCookies(SecureCookieSessionInterface):
    """Signed cookies with the Secure flag exactly when the page came over https."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._https_hosts = {urlsplit(origin).netloc for origin in origins if origin.startswith("https://")}

    def get_cookie_secure(self, app: Flask) -> bool:
        """Whether the cookie gets the Secure flag."""
        return request.is_secure or request.host in self._https_hosts

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """The session of a cookie; an empty one where it is not ours, or older than its lifetime."""
        serializer = self.get_signing_serializer(app)
        value = request.cookies.get(self.get_cookie_name(app))
        if serializer is None or not value:
            return None if serializer is None else self.session_class()
        try:
            data, signed_at = serializer.loads(value, return_timestamp=True)
        except BadSignature:
            return self.session_class()
        g.cookie_at = signed_at.timestamp()
        lifetime_s = app.permanent_session_lifetime.total_seconds()
        return self.session_class() if time.time() - g.cookie_at > lifetime_s else self.session_class(data)


def new_key(session: MutableMapping[str, Any]) -> None:
    """Give a session that begins its key."""
    session[_KEY] = secrets.token_urlsafe(24)


def key_of(session: Mapping[str, Any]) -> str:
    """The key of a session as SQL knows it, hashed; empty where it has none."""
    name = next((name for name in (_KEY, _OLD_KEY) if session.get(name)), "")
    return hashlib.sha256(f"{name}:{session[name]}".encode()).hexdigest() if name else ""


def now_or_signed_at() -> float:
    """The time of an end of the session of this request: not before its cookie was signed, wherever the clock is."""
    return max(time.time(), float(g.get("cookie_at", 0.0)))
