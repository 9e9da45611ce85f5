"""The room that people see: pages, forms and web sockets. It knows HTTP and the store, never an engine or a worker."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask
    from redis import Redis

    from store.db import Database
    from store.settings import Settings


def create_app(settings: "Settings", database: "Database", redis: "Redis") -> "Flask":
    """The application (see app.py), loaded on first use: `python -m web.invite` needs none of it."""
    from web.app import create_app as create

    return create(settings, database, redis)
