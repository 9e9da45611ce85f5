"""Choices: which model each worker runs. Web and the command line choose, the worker of that name follows.

What it does: one row per worker. A choice that fails names the model before it again (`fall_back`), with the reason.
What it refuses to know: how a worker changes its model (worker), and whether the model fits (the plans say it).
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.db import Database
from store.errors import Failure, NotFound, Refused
from store.messages import clock
from store.shelf.tables import ModelChoice, ModelFile
from store.shelf.views import ChoiceView, choice_view, reason_of

AS_STARTED = ""
"""The name that means: the model of INGLENOOK_MODEL, or the demo model."""


def choose(db: Database, worker: str, name: str, by: str = "", now: float | None = None) -> ChoiceView:
    """Want a worker to run a model: the name of an installed file, or AS_STARTED. Choosing what it runs already changes
    nothing. Raises NotFound (no such file), Refused "model_not_here"."""
    with db.session() as session:
        _check(session, name)
        row = session.get(ModelChoice, worker)
        if row is not None and row.name == name and row.state != "failed":
            return choice_view(row)
        if row is None:
            row = ModelChoice(worker=worker, name=AS_STARTED, previous=AS_STARTED, state="serving")
            session.add(row)
        if row.state == "serving":
            row.previous = row.name
        row.name, row.state, row.reason = name, "wanted", {}
        row.chosen_by, row.chosen_at = by, clock(now)
        session.flush()
        return choice_view(row)


def choice_of(db: Database, worker: str) -> ChoiceView | None:
    """The choice of a worker; None: as started."""
    with db.reading() as session:
        row = session.get(ModelChoice, worker)
        return choice_view(row) if row else None


def list_choices(db: Database) -> tuple[ChoiceView, ...]:
    """Every worker that a model was chosen for, by name."""
    with db.reading() as session:
        return tuple(map(choice_view, session.scalars(select(ModelChoice).order_by(ModelChoice.worker))))


def record_choice(db: Database, worker: str, name: str, state: str, failure: Failure | None = None) -> bool:
    """Write how far a worker is with the model `name`; False, and nothing is written, where another was chosen since.
    A reason that stands there stays until the next choice."""
    with db.session() as session:
        row = session.get(ModelChoice, worker)
        if row is None or row.name != name:
            return False
        row.state = state
        row.reason = reason_of(failure) if failure else row.reason
        return True


def fall_back(db: Database, worker: str, name: str, failure: Failure) -> ChoiceView | None:
    """The model `name` does not load: want the one before it, and if that is the same, as started. The choice as it is
    now; None where none was made."""
    with db.session() as session:
        row = session.get(ModelChoice, worker)
        if row is None:
            return None
        if row.name == name:
            row.name = row.previous if row.previous != name else AS_STARTED
            row.previous, row.state, row.reason = AS_STARTED, "wanted", reason_of(failure)
        session.flush()
        return choice_view(row)


def _check(session: Session, name: str) -> None:
    if name == AS_STARTED:
        return
    file = session.scalars(select(ModelFile).where(ModelFile.name == name)).first()
    if file is None:
        raise NotFound("model")
    if file.state != "installed" or file.wanted == "remove":
        raise Refused("model_not_here", name=name)
