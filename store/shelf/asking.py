"""Commands on the shelf: what web and the command line want of a model file. They write what is wanted, nothing else.

What it does: `wanted` is a standing wish, compared with `state` by the downloader. The state itself changes here only
where no process has the file in its hands: what failed or was given up goes back into the queue when asked for again.
What it refuses to know: how a file is fetched (web/downloader), and which models fit (worker).
To add a wish: a value in tables.WANTED (a migration: it is a constraint), a function here, and what the downloader does
about it (transfers.py).
"""

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from store.db import Database
from store.errors import Refused
from store.messages import clock, new_id
from store.shelf.names import ModelSource
from store.shelf.reading import MAX_FILES, row_of, views_of
from store.shelf.tables import ModelChoice, ModelFile, ModelPart, ModelPlan
from store.shelf.views import ModelFileView

AGAIN = ("failed", "canceled", "gone")
"""States that end a wish: asked for again, the file is in the queue again."""
IN_USE = ("wanted", "loading", "serving")


def ask_to_look(db: Database, source: ModelSource, by: str = "", now: float | None = None) -> ModelFileView:
    """Want the header of a model, so that a plan can be made: the row that says so, an older one of the same file.

    Raises Refused "model_name_taken", "too_many_models".
    """
    return _ask(db, source, "look", by, now)


def ask_to_get(db: Database, source: ModelSource, by: str = "", now: float | None = None) -> ModelFileView:
    """Want a whole model in the models folder. Raises as `ask_to_look`."""
    return _ask(db, source, "get", by, now)


def get(db: Database, file_id: str, now: float | None = None) -> ModelFileView:
    """Want a model of the shelf: fetch it, go on after a pause, try again after a failure. Raises NotFound, Refused
    "model_no_source"."""
    with db.session() as session:
        row = row_of(session, file_id)
        if row.state != "installed":
            _want(row, "get", clock(now))
        return _view(session, row)


def pause(db: Database, file_id: str, now: float | None = None) -> ModelFileView:
    """Stop fetching; what is here is kept. Raises NotFound."""
    return _stop(db, file_id, "pause", "paused", now)


def cancel(db: Database, file_id: str, now: float | None = None) -> ModelFileView:
    """Give up fetching, also what has failed or fits several files; what is here is deleted by the downloader. Raises
    NotFound."""
    return _stop(db, file_id, "cancel", None, now)


def remove(db: Database, file_id: str, now: float | None = None) -> ModelFileView:
    """Want a model and its blocks deleted. Raises NotFound, Refused "model_in_use"."""
    with db.session() as session:
        row = row_of(session, file_id)
        used = ModelChoice.state.in_(IN_USE)
        if session.scalars(select(ModelChoice).where(ModelChoice.name == row.name, used)).first():
            raise Refused("model_in_use", name=row.name)
        row.wanted, row.changed_at = "remove", clock(now)
        return _view(session, row)


def forget(db: Database, file_id: str) -> None:
    """Delete a row with its parts and plans; no file. Raises NotFound."""
    with db.session() as session:
        forget_row(session, row_of(session, file_id))


def forget_row(session: Session, row: ModelFile) -> None:
    """The same in the caller's transaction."""
    session.flush()
    session.execute(delete(ModelPart).where(ModelPart.file_id == row.id))
    session.execute(delete(ModelPlan).where(ModelPlan.file_id == row.id))
    session.delete(row)


def forget_bytes(session: Session, row: ModelFile) -> None:
    """Nothing of a file is here any more."""
    session.execute(update(ModelPart).where(ModelPart.file_id == row.id).values(done=0))
    row.done, row.speed = 0, 0.0


def _ask(db: Database, source: ModelSource, wanted: str, by: str, now: float | None) -> ModelFileView:
    with db.session() as session:
        row = session.scalars(select(ModelFile).where(ModelFile.name == source.name)).first()
        if row is None:
            row = _new_row(session, source, by, clock(now))
        elif row.state in ("listed", *AGAIN):
            _set_source(row, source)  # nothing of it is here, or it is to be had from elsewhere now
        elif (row.repo, row.path, row.url) != (source.repo, source.path, source.url):
            raise Refused("model_name_taken", name=row.name)
        if row.state != "installed" and (wanted == "get" or row.wanted != "get" or row.state in AGAIN):
            _want(row, wanted, clock(now))
        session.flush()
        return _view(session, row)


def _new_row(session: Session, source: ModelSource, by: str, now: float) -> ModelFile:
    if _n_files(session) >= MAX_FILES:
        for given_up in session.scalars(select(ModelFile).where(ModelFile.state == "canceled")).all():
            forget_row(session, given_up)  # no page shows them
        if _n_files(session) >= MAX_FILES:
            raise Refused("too_many_models", most=MAX_FILES)
    row = ModelFile(id=new_id(), name=source.name, state="asked", added_by=by, added_at=now, changed_at=now)
    _set_source(row, source)
    session.add(row)
    return row


def _n_files(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(ModelFile)) or 0


def _set_source(row: ModelFile, source: ModelSource) -> None:
    row.repo, row.path, row.url = source.repo, source.path, source.url
    row.sha256, row.revision = source.sha256, source.revision


def _want(row: ModelFile, wanted: str, now: float) -> None:
    if not row.repo and not row.url:
        raise Refused("model_no_source", name=row.name)
    if row.state in ("listed", *AGAIN) or (wanted == "look" and row.state == "paused"):
        row.state = "asked"
    elif wanted == "get" and row.state in ("looked", "paused"):
        row.state = "waiting"
    row.wanted, row.reason, row.changed_at = wanted, {}, now


def _stop(db: Database, file_id: str, wanted: str, state: str | None, now: float | None) -> ModelFileView:
    with db.session() as session:
        row = row_of(session, file_id)
        if row.state not in ("installed", *AGAIN) or (wanted == "cancel" and row.state == "failed"):
            row.wanted, row.changed_at = wanted, clock(now)
            if state and row.state in ("looked", "waiting"):
                row.state, row.speed = state, 0.0
        return _view(session, row)


def _view(session: Session, row: ModelFile) -> ModelFileView:
    session.flush()
    return views_of(session, select(ModelFile).where(ModelFile.id == row.id))[0]
