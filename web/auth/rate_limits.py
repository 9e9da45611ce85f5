"""Rate limits of the forms that strangers can reach and of costly downloads, counted in Redis, in memory while it is
away.

Where all people have one address (a gateway in front), a limit per address would lock all of them out together: it does
not hold where somebody is signed in, nor for a browser in which somebody was. Names have growing delays, everywhere
(password_tries.py).

To add a limit: `@limiter.limit(PER_..., key_func=...)` below the route and the decorator of its access.
"""

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Flask, Response, g, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import current_user

from store.settings import Settings
from web.auth import known_browsers
from web.services import services

View = TypeVar("View", bound=Callable[..., Any])
PER_ADDRESS = "20 per minute; 200 per hour"
PER_ACCOUNT = "8 per minute; 60 per hour"
PER_LINK = "20 per minute"
PER_DOWNLOAD = "6 per minute"
limiter = Limiter(get_remote_address, strategy="fixed-window")


def token_key() -> str:
    """Count by the link of an invitation, which nobody can guess: its owner may share an address with anybody."""
    return "link:" + hashlib.sha256(request.path.encode("utf-8", "replace")).hexdigest()[:32]


def user_key() -> str:
    """Count by account, whatever the address; by address when nobody is signed in."""
    return f"user:{current_user.view.id}" if current_user.is_authenticated else get_remote_address()


def is_familiar() -> bool:
    """Whether people come from this address, or have signed in in this browser: no limit per address then."""
    return known_browsers.is_known() or services().sign_in_tries.knows_address(get_remote_address())


def init_app(app: Flask, settings: Settings) -> None:
    """Configure the limiter from the settings."""
    url = settings.redis_url
    app.config.update(
        RATELIMIT_STORAGE_URI=f"redis+{url}" if url.startswith("unix://") else url,
        RATELIMIT_STORAGE_OPTIONS={"socket_connect_timeout": 1.0, "socket_timeout": 1.0},
        RATELIMIT_KEY_PREFIX="inglenook",
        RATELIMIT_IN_MEMORY_FALLBACK_ENABLED=True,
        RATELIMIT_HEADERS_ENABLED=False,
    )
    limiter.init_app(app)

    @app.after_request
    def _note_address(response: Response) -> Response:
        if "_login_user" in g and current_user.is_authenticated:  # no page asks for an account that did not need one
            services().sign_in_tries.note_address(get_remote_address())
        return response


def limit_password_tries(view: View) -> View:
    """Decorator of forms that ask for the password again; all of them share one counter per account."""
    limit = limiter.shared_limit(PER_ACCOUNT, scope="own password", key_func=user_key)
    return cast(View, limit(view))
