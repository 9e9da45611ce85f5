"""Read models of the shelf: frozen values of its rows, safe to keep after the transaction has ended.

What it refuses to know: the SQLAlchemy session that a row came from.
To add a column that others read: a field of the same name here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from store.errors import Failure
from store.shelf.tables import ModelChoice, ModelFile, ModelPart, ModelPlan
from store.views.from_row import view_of


@dataclass(frozen=True)
class PartView:
    """One part of a model file; `path` is inside of its repository (or the end of its URL), `size` in bytes."""

    number: int
    path: str
    size: int
    sha256: str = ""
    done: int = 0


@dataclass(frozen=True)
class PlanView:
    """What a worker could do with a model file."""

    worker: str
    plan: Mapping[str, Any]
    made_at: float


@dataclass(frozen=True)
class ModelFileView:
    """A row of the shelf with its parts and plans; tables.py says what the fields mean."""

    id: str
    name: str
    repo: str
    path: str
    url: str
    sha256: str
    revision: str
    licence: str
    size: int
    state: str
    wanted: str
    done: int
    speed: float
    reason: Mapping[str, Any]
    facts: Mapping[str, Any]
    added_by: str
    added_at: float
    changed_at: float
    parts: tuple[PartView, ...] = ()
    plans: Mapping[str, PlanView] = field(default_factory=dict)

    @property
    def failure(self) -> Failure | None:
        """Why it failed or waits."""
        return failure_of(self.reason)

    @property
    def seconds_left(self) -> float | None:
        """Until it is here, at the present speed; None while that cannot be told."""
        if self.state != "fetching" or self.speed <= 0 or not self.size:
            return None
        return max(0, self.size - self.done) / self.speed


@dataclass(frozen=True)
class ChoiceView:
    """Which model a worker runs or should run."""

    worker: str
    name: str
    previous: str
    chosen_by: str
    chosen_at: float
    state: str
    reason: Mapping[str, Any]

    @property
    def failure(self) -> Failure | None:
        """Why the model that was chosen does not serve."""
        return failure_of(self.reason)


def failure_of(reason: Mapping[str, Any]) -> Failure | None:
    """The Failure that a `reason` column holds."""
    return Failure(str(reason["reason"]), dict(reason.get("values") or {})) if reason.get("reason") else None


def reason_of(failure: Failure | None) -> dict[str, Any]:
    """What a `reason` column holds of a Failure."""
    return {"reason": failure.reason, "values": dict(failure.values)} if failure else {}


def file_view(row: ModelFile, parts: tuple[PartView, ...] = (), plans: tuple[PlanView, ...] = ()) -> ModelFileView:
    """A model file as others see it."""
    return view_of(ModelFileView, row, parts=parts, plans={one.worker: one for one in plans})


def part_view(row: ModelPart) -> PartView:
    """A part of a model file."""
    return view_of(PartView, row)


def plan_view(row: ModelPlan) -> PlanView:
    """The plan of a worker."""
    return view_of(PlanView, row)


def choice_view(row: ModelChoice) -> ChoiceView:
    """The choice of a worker."""
    return view_of(ChoiceView, row)
