"""The worker's side of the shelf: which files lie in the models folder, what their headers say, and plans.

What it does: `record_folder` makes the rows agree with the folder; it writes only where something has changed.
What it refuses to know: how a header is read and how a plan is made (engine/model), and what is being fetched: it
leaves rows alone that the downloader has in its hands.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from store.db import Database
from store.messages import clock, new_id
from store.shelf.asking import forget_bytes, forget_row
from store.shelf.reading import MAX_FILES, row_of
from store.shelf.tables import ModelChoice, ModelFile, ModelPlan

OWNED_BY_DOWNLOADER = ("asked", "waiting", "fetching", "checking")


def record_folder(db: Database, sizes: Mapping[str, int], now: float | None = None) -> bool:
    """Make the rows agree with the folder: the bytes (all parts) of each complete model file, by name. A file that
    nobody asked for gets a row; one that has left it is gone, its row kept while it says where to get it again or a
    worker's choice names it. Returns whether anything changed."""
    with db.reading() as session:
        known = {name: (state, size) for name, state, size in session.execute(_known())}
    if not _differs(known, sizes):
        return False
    with db.session() as session:
        rows = {row.name: row for row in session.scalars(select(ModelFile))}
        for name in list(sizes)[:MAX_FILES]:
            _found(session, rows.get(name), name, sizes[name], clock(now))
        for name, row in rows.items():
            if row.state == "installed" and name not in sizes:
                _left(session, row, clock(now))
    return True


def record_facts(db: Database, file_id: str, facts: Mapping[str, Any], now: float | None = None) -> None:
    """Write what the header of a file says (architecture, kind, quantization ...). Raises NotFound."""
    with db.session() as session:
        row = row_of(session, file_id)
        row.facts, row.changed_at = dict(facts), clock(now)


def record_plan(db: Database, file_id: str, worker: str, plan: Mapping[str, Any], now: float | None = None) -> None:
    """Write what a worker could do with a file; it replaces its plan before. Raises NotFound."""
    with db.session() as session:
        row_of(session, file_id)
        row = session.get(ModelPlan, (file_id, worker)) or ModelPlan(file_id=file_id, worker=worker)
        row.plan, row.made_at = dict(plan), clock(now)
        session.add(row)


def drop_plans(db: Database, worker: str) -> None:
    """Forget all plans of a worker that is no more."""
    with db.session() as session:
        session.execute(delete(ModelPlan).where(ModelPlan.worker == worker))


def to_clean_up(db: Database) -> tuple[str, ...]:
    """The ids of files that were removed on somebody's wish: the workers delete their blocks, then `forget` them."""
    with db.reading() as session:
        wanted = select(ModelFile.id).where(ModelFile.wanted == "remove", ModelFile.state == "gone")
        return tuple(session.scalars(wanted.order_by(ModelFile.id)))


def _known() -> Any:
    return select(ModelFile.name, ModelFile.state, ModelFile.size)


def _differs(known: Mapping[str, tuple[str, int]], sizes: Mapping[str, int]) -> bool:
    left = any(state == "installed" and name not in sizes for name, (state, _) in known.items())
    found = (known.get(name, ("", 0)) != ("installed", size) for name, size in sizes.items() if _is_free(known, name))
    return left or any(found)


def _is_free(known: Mapping[str, tuple[str, int]], name: str) -> bool:
    return name not in known or known[name][0] not in OWNED_BY_DOWNLOADER


def _found(session: Session, row: ModelFile | None, name: str, size: int, now: float) -> None:
    if row is None:
        row = ModelFile(id=new_id(), name=name, state="installed", added_at=now, facts={})
        session.add(row)
    elif row.state in OWNED_BY_DOWNLOADER or (row.state, row.size) == ("installed", size):
        return
    if row.size != size:
        row.facts = {}
    row.state, row.reason, row.size, row.done, row.changed_at = "installed", {}, size, size, now
    row.wanted = row.wanted if row.wanted == "remove" else ""


def _left(session: Session, row: ModelFile, now: float) -> None:
    chosen = session.scalars(select(ModelChoice).where(ModelChoice.name == row.name)).first()
    if not (chosen or row.repo or row.url or row.wanted == "remove"):
        forget_row(session, row)
        return
    forget_bytes(session, row)
    row.state, row.changed_at = "gone", now
