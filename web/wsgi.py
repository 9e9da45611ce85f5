"""The WSGI entry point `web.wsgi:app`. Importing this module opens the database, migrates it and starts the threads."""

import logging

from flask import Flask

from store.broker.client import connect
from store.db import Database
from store.private_files import protect
from store.settings import load_settings
from web.app import create_app


def _build() -> Flask:
    settings = load_settings()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    database = Database(settings.database_url)
    protect(settings.data_dir, database.file)
    database.migrate()
    built = create_app(settings, database, connect(settings.redis_url))
    built.extensions["inglenook"].start()
    return built


app = _build()
