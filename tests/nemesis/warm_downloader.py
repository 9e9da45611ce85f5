"""Imported by the process that `downloads.py` forks downloaders from: what each of them would do anew is done once.

SQLAlchemy sets up its mappers and learns its statements at the first use of each, which takes longer than a download.
"""

import tempfile

from sqlalchemy import create_engine

from store.db import Database
from store.models import Base
from store.shelf import asking, transfers
from store.shelf.names import ModelSource
from store.shelf.views import PartView
from web.downloader import jobs as jobs
from web.downloader import service as service

with tempfile.TemporaryDirectory(prefix="inglenook-warm-") as folder:
    url = f"sqlite:///{folder}/inglenook.db"
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()
    database = Database(url)
    file = asking.ask_to_get(database, ModelSource("a/b", "c.gguf"))
    transfers.record_source(database, file.id, ModelSource("a/b", "c.gguf"), (PartView(1, "c.gguf", 1, "0" * 64),))
    transfers.record_progress(database, file.id, {1: 1})
    transfers.record_state(database, file.id, "installed")
    transfers.work_to_do(database)
    database.close()
