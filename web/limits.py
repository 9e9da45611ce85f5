"""Rate limits of the forms that a stranger can reach, counted in Redis, in memory while Redis is away."""

from flask import Flask, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from store.settings import Settings

PER_ADDRESS = "20 per minute; 200 per hour"
PER_NAME = "8 per minute; 60 per hour"
limiter = Limiter(get_remote_address, strategy="fixed-window")


def named_key() -> str:
    """The name that somebody tries to sign in with, whatever the address."""
    return "name:" + request.form.get("name", "").strip().casefold()[:80]


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
