"""Queries of the shelf: the model files with their parts and plans, one by its id or name.

What it refuses to know: who asks (the pages and routes of the shelf are for admins: web/admin).
"""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from store.db import Database
from store.errors import NotFound
from store.shelf.tables import ModelFile, ModelPart, ModelPlan
from store.shelf.views import ModelFileView, PartView, PlanView, file_view, part_view, plan_view

MAX_FILES = 300


def list_files(db: Database) -> tuple[ModelFileView, ...]:
    """Every model file of the shelf, by name."""
    with db.reading() as session:
        return views_of(session, select(ModelFile).order_by(ModelFile.name).limit(MAX_FILES))


def get_file(db: Database, file_id: str) -> ModelFileView:
    """One model file. Raises NotFound."""
    with db.reading() as session:
        found = views_of(session, select(ModelFile).where(ModelFile.id == file_id))
    if not found:
        raise NotFound("model")
    return found[0]


def find_file(db: Database, name: str) -> ModelFileView | None:
    """The model file of this name; None where there is none."""
    with db.reading() as session:
        found = views_of(session, select(ModelFile).where(ModelFile.name == name))
    return found[0] if found else None


def views_of(session: Session, wanted: Select[ModelFile]) -> tuple[ModelFileView, ...]:
    """The views of some rows, three queries in all, one where there are none."""
    rows = session.scalars(wanted).all()
    if not rows:
        return ()
    parts, plans = _parts_of(session, rows), _plans_of(session, rows)
    return tuple(file_view(row, tuple(parts[row.id]), tuple(plans[row.id])) for row in rows)


def row_of(session: Session, file_id: str) -> ModelFile:
    """The row of a model file. Raises NotFound."""
    row = session.get(ModelFile, file_id)
    if row is None:
        raise NotFound("model")
    return row


def _parts_of(session: Session, rows: Sequence[ModelFile]) -> defaultdict[str, list[PartView]]:
    found: defaultdict[str, list[PartView]] = defaultdict(list)
    wanted = select(ModelPart).where(ModelPart.file_id.in_([row.id for row in rows])).order_by(ModelPart.number)
    for part in session.scalars(wanted):
        found[part.file_id].append(part_view(part))
    return found


def _plans_of(session: Session, rows: Sequence[ModelFile]) -> defaultdict[str, list[PlanView]]:
    found: defaultdict[str, list[PlanView]] = defaultdict(list)
    wanted = select(ModelPlan).where(ModelPlan.file_id.in_([row.id for row in rows])).order_by(ModelPlan.worker)
    for plan in session.scalars(wanted):
        found[plan.file_id].append(plan_view(plan))
    return found
