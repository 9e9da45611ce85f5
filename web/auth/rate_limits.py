"""Rate limits of the forms that strangers can reach and of costly downloads, counted in Redis, in memory while it is
away.

To add a limit: `@limiter.limit(PER_..., key_func=...)` below the route and the decorator of its access.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Flask, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import current_user

from store.settings import Settings

View = TypeVar("View", bound=Callable[..., Any])
PER_ADDRESS = "20 per minute; 200 per hour"
PER_NAME = "8 per minute; 60 per hour"
PER_DOWNLOAD = "6 per minute"
limiter = Limiter(get_remote_address, strategy="fixed-window")


def sign_in_name_key() -> str:
    """Count by the name in the sign-in form, whatever the address: against guessing one account from many addresses."""
    return "name:" + request.form.get("name", "").strip().casefold()[:80]


def user_key() -> str:
    """Count by account, whatever the address; by address when nobody is signed in."""
    return f"user:{current_user.view.id}" if current_user.is_authenticated else get_remote_address()


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


def limit_password_tries(view: View) -> View:
    """Decorator of forms that ask for the password again; all of them share one counter per account."""
    limit = limiter.shared_limit(PER_NAME, scope="own password", key_func=user_key)
    return cast(View, limit(view))
