"""Security headers, cookie flags and the check of the Host header, for every request.

What it does: Content-Security-Policy without inline code, no foreign requests, no sniffing, no framing; the flags of
cookies (auth/session_cookie.py has the rest of them); requests for a host that is not one of INGLENOOK_PUBLIC_ORIGINS
are refused (against DNS rebinding).
What it refuses to know: CSRF tokens (app.py), the Origin of web sockets (live/gate.py), rate limits (auth/).
"""

from urllib.parse import urlsplit

from flask import Flask, Response, request

from store.sign_ins import COOKIE_S
from web.auth.session_cookie import SessionCookies
from web.errors import SENTENCES, Problem
from web.i18n.language import gettext

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
SHOWN_HOST = 100  # letters of an unknown one
OPEN_TO_ALL_HOSTS = ("/healthz", "/ws", "/metrics")  # /ws checks the Origin; browsers send no cookie to another host


def init_app(app: Flask, origins: tuple[str, ...]) -> None:
    """Configure cookies and register the two hooks."""
    hosts = {urlsplit(origin).netloc for origin in origins}
    app.session_interface = SessionCookies(origins)
    app.config.update(
        SESSION_COOKIE_NAME="inglenook",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=COOKIE_S,
    )

    @app.before_request
    def _known_host() -> None:
        if request.host not in hosts and request.path not in OPEN_TO_ALL_HOSTS:
            sentence = gettext(
                "This server does not answer to %(host)s. Open it at %(origins)s, or add this address to "
                "INGLENOOK_PUBLIC_ORIGINS.",
                host=request.host[:SHOWN_HOST],
                origins=", ".join(origins),
            )
            raise Problem(421, "unknown_host", sentence)

    @app.after_request
    def _add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if response.mimetype in ("text/html", "application/json"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def refuse_nameless_fields(app: Flask) -> None:
    """Refuse forms with a field that has no name, which libraries that read forms do not expect.

    Call it before anything that looks at the fields, after everything that sets how large a form may be.
    """

    @app.before_request
    def _named() -> None:
        if request.endpoint and request.method != "GET" and (None in request.form or None in request.files):
            raise Problem(400, "bad_request", gettext(SENTENCES[400]))
