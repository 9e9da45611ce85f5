"""The downloader's side of the shelf: the next piece of work, and what became of it.

What it does: `next_work` compares what is wanted with the state; the others write the state. One downloader is at work
at a time (it holds a lock on the models folder), so nothing is claimed here.
What it refuses to know: networks and files (web/downloader).
To add a state: tables.FILE_STATES and a migration.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from store.db import Database
from store.errors import Failure
from store.messages import clock
from store.shelf.asking import forget_bytes, forget_row
from store.shelf.names import ModelSource
from store.shelf.reading import row_of, views_of
from store.shelf.tables import ModelFile, ModelPart
from store.shelf.views import ModelFileView, PartView, reason_of

ENDED = ("installed", "failed", "canceled", "gone", "listed")
"""States in which a wish to look or to get is not worked at (any more)."""
_ACTIVE = ("asked", "waiting", "fetching", "checking")


def work_to_do(db: Database) -> tuple[ModelFileView, ...]:
    """What is to be done: removals first, then what is to be paused or canceled, headers, and whole files, each in the
    order in which they were asked for."""
    with db.reading() as session:
        return tuple(sorted(views_of(session, _unfinished()), key=lambda one: (_rank(one), one.changed_at, one.id)))


def next_work(db: Database) -> ModelFileView | None:
    """The first of `work_to_do`; None where all is done."""
    return next(iter(work_to_do(db)), None)


def wanted_of(db: Database, file_id: str) -> str:
    """What is wanted of a file now; "" where its row is gone."""
    with db.reading() as session:
        return session.scalar(select(ModelFile.wanted).where(ModelFile.id == file_id)) or ""


def record_source(
    db: Database,
    file_id: str,
    source: ModelSource,
    parts: Sequence[PartView],
    licence: str = "",
    now: float | None = None,
) -> ModelFileView:
    """Write what the hub says: the file that a pattern stands for, the commit, size and hash of each part. What is done
    of a part that is the same as before stays. A row that has this name already takes the wish over; it is returned.
    """
    name = source.name
    with db.session() as session:
        row = row_of(session, file_id)
        other = session.scalars(select(ModelFile).where(ModelFile.name == name, ModelFile.id != file_id)).first()
        if other is not None:
            return _merge(session, row, other, source, clock(now))
        row.name, row.repo, row.path, row.url = name, source.repo, source.path, source.url
        row.revision, row.licence, row.changed_at = source.revision, licence, clock(now)
        row.size = sum(part.size for part in parts)
        row.done = _write_parts(session, row, parts)
        session.flush()
        return _view(session, row)


def record_listing(db: Database, file_id: str, files: Sequence[Mapping[str, Any]], now: float | None = None) -> None:
    """Write which files a pattern stands for, several or none: `facts["files"]`, each with `path` and `size`."""
    with db.session() as session:
        row = row_of(session, file_id)
        row.state, row.facts, row.changed_at = "listed", {"files": [dict(one) for one in files]}, clock(now)
        row.wanted, row.reason = "", {}


def record_state(
    db: Database, file_id: str, state: str, failure: Failure | None = None, now: float | None = None
) -> None:
    """Write a new state, and the reason of a failure or of a pause that the network makes."""
    with db.session() as session:
        row = row_of(session, file_id)
        row.state, row.reason, row.speed, row.changed_at = state, reason_of(failure), 0.0, clock(now)
        if state == "installed":
            row.done = row.size
            for part in session.scalars(select(ModelPart).where(ModelPart.file_id == file_id)):
                part.done = part.size


def record_progress(
    db: Database, file_id: str, done: Mapping[int, int], speed: float = 0.0, now: float | None = None
) -> str:
    """Write how many bytes of each part are here; what is wanted of the file now, "" where its row is gone."""
    with db.session() as session:
        row = session.get(ModelFile, file_id)
        if row is None:
            return ""
        for part in session.scalars(select(ModelPart).where(ModelPart.file_id == file_id)):
            part.done = done.get(part.number, part.done)
        session.flush()
        parts = session.scalars(select(ModelPart.done).where(ModelPart.file_id == file_id))
        row.done, row.speed, row.changed_at = sum(parts), speed, clock(now)
        return row.wanted


def record_kept(db: Database, file_id: str, failure: Failure, now: float | None = None) -> None:
    """The files cannot be deleted: the row stays as it is, and says why."""
    with db.session() as session:
        row = row_of(session, file_id)
        row.wanted, row.reason, row.changed_at = "", reason_of(failure), clock(now)


def record_canceled(db: Database, file_id: str, now: float | None = None) -> None:
    """What was fetched is deleted."""
    with db.session() as session:
        row = row_of(session, file_id)
        forget_bytes(session, row)
        row.state, row.reason, row.changed_at = "canceled", {}, clock(now)


def refuse_all(db: Database, failure: Failure, now: float | None = None) -> None:
    """Nothing can be done now, and somebody has to act: everything that is to be done has failed."""
    for file in work_to_do(db):
        if file.wanted not in ("look", "get"):
            record_kept(db, file.id, failure, now)
        else:
            record_state(db, file.id, "failed", failure, now)


def header_owners(db: Database) -> frozenset[str]:
    """The ids of the files whose headers may be needed: those that are not here."""
    with db.reading() as session:
        return frozenset(session.scalars(select(ModelFile.id).where(ModelFile.state != "installed")))


def record_removed(db: Database, file_id: str, now: float | None = None) -> None:
    """The files are deleted: the row is gone, its wish stays until the workers have deleted the blocks (folder.py)."""
    with db.session() as session:
        row = row_of(session, file_id)
        forget_bytes(session, row)
        row.state, row.changed_at = "gone", clock(now)


def _unfinished() -> Select[ModelFile]:
    stopping = ModelFile.wanted.in_(("pause", "cancel")) & ModelFile.state.in_((*_ACTIVE, "looked"))
    giving_up = (ModelFile.wanted == "cancel") & ModelFile.state.in_(("paused", "failed", "listed"))
    removing = (ModelFile.wanted == "remove") & (ModelFile.state != "gone")
    looking = (ModelFile.wanted == "look") & (ModelFile.state == "asked")
    getting = (ModelFile.wanted == "get") & ModelFile.state.not_in(ENDED)
    return select(ModelFile).where(or_(stopping, giving_up, removing, looking, getting))


def _rank(file: ModelFileView) -> int:
    if file.wanted in ("remove", "pause", "cancel"):
        return 0
    return 1 if file.state == "asked" else 2


def _merge(session: Session, row: ModelFile, other: ModelFile, source: ModelSource, now: float) -> ModelFileView:
    """A pattern stands for a file that the shelf has: its row gets the wish."""
    if other.state in ("failed", "canceled", "gone"):
        other.repo, other.path, other.url, other.state = source.repo, source.path, source.url, "asked"
        other.reason = {}
    if other.state != "installed" and other.wanted != "get":
        other.wanted, other.changed_at = row.wanted, now
    forget_row(session, row)
    session.flush()
    return _view(session, other)


def _write_parts(session: Session, row: ModelFile, parts: Sequence[PartView]) -> int:
    """Replace the parts of a file; how many bytes of them are here."""
    before = {}
    for old in session.scalars(select(ModelPart).where(ModelPart.file_id == row.id)):
        before[old.number, old.sha256] = old.done
        session.delete(old)
    session.flush()
    for part in parts:
        done = min(part.size, before.get((part.number, part.sha256), 0)) if part.sha256 else 0
        session.add(ModelPart(file_id=row.id, **vars(part) | {"done": done}))
    session.flush()
    return session.scalar(select(func.coalesce(func.sum(ModelPart.done), 0)).where(ModelPart.file_id == row.id)) or 0


def _view(session: Session, row: ModelFile) -> ModelFileView:
    return views_of(session, select(ModelFile).where(ModelFile.id == row.id))[0]
