"""The web room: pages, forms and web sockets (Flask). It knows HTTP and the store, never an engine or a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask
    from redis import Redis

    from store.db import Database
    from store.settings import Settings


def create_app(settings: Settings, database: Database, redis: Redis) -> Flask:
    """See web/app.py. Imported lazily: `python -m web` becomes gunicorn at once and needs no Flask."""
    from web import app

    return app.create_app(settings, database, redis)
