"""The tables of the shelf: model files, their parts, plans of workers, chosen models. Part of the schema in models.py.

What it refuses to know: who writes which column (`store/shelf/__init__.py` says it), and how a file is fetched.
"""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from store.model_base import Base, one_of

FILE_STATES = (
    *("asked", "listed", "looked", "waiting", "fetching", "checking"),
    *("installed", "paused", "failed", "canceled", "gone"),
)
WANTED = ("", "look", "get", "pause", "cancel", "remove")
CHOICE_STATES = ("wanted", "loading", "serving", "failed")


class ModelFile(Base):
    """A model that is in the models folder, is being fetched into it, or was asked for.

    `name`: its file name in the folder; of a split model the first part; until a pattern is resolved `repo:pattern`.
    `repo` and `path` say where it is on a hub, else `url`. `revision`: the commit. `size`: bytes of all parts, 0: not
    known. `done`: bytes that are here; `speed`: bytes per second. `reason`: why it failed or waits, {} or a Failure.
    `facts`: what its header says. `added_by`: the id of a person; "": the command line, or a file that lay there.
    """

    __tablename__ = "model_files"
    __table_args__ = (
        CheckConstraint(one_of("state", FILE_STATES), name="state"),
        CheckConstraint(one_of("wanted", WANTED), name="wanted"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    repo: Mapped[str] = mapped_column(default="")
    path: Mapped[str] = mapped_column(default="")
    url: Mapped[str] = mapped_column(default="")
    sha256: Mapped[str] = mapped_column(default="")
    revision: Mapped[str] = mapped_column(default="")
    licence: Mapped[str] = mapped_column(default="")
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    state: Mapped[str]
    wanted: Mapped[str] = mapped_column(default="")
    done: Mapped[int] = mapped_column(BigInteger, default=0)
    speed: Mapped[float] = mapped_column(default=0.0)
    reason: Mapped[dict[str, Any]] = mapped_column(default=dict)
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    added_by: Mapped[str] = mapped_column(String(32), default="")
    added_at: Mapped[float]
    changed_at: Mapped[float]


class ModelPart(Base):
    """One part of a model file: several where it is split, else one. `sha256` "": not known (a file that lay there)."""

    __tablename__ = "model_parts"

    file_id: Mapped[str] = mapped_column(String(32), ForeignKey("model_files.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(default="")
    done: Mapped[int] = mapped_column(BigInteger, default=0)


class ModelPlan(Base):
    """What one worker could do with one model file, or the reason why it does not fit."""

    __tablename__ = "model_plans"

    file_id: Mapped[str] = mapped_column(String(32), ForeignKey("model_files.id"), primary_key=True)
    worker: Mapped[str] = mapped_column(primary_key=True)
    plan: Mapped[dict[str, Any]]
    made_at: Mapped[float]


class ModelChoice(Base):
    """Which model a worker runs. `name` "": as started; `previous`: the one before, to fall back to."""

    __tablename__ = "model_choices"
    __table_args__ = (CheckConstraint(one_of("state", CHOICE_STATES), name="state"),)

    worker: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")
    previous: Mapped[str] = mapped_column(default="")
    chosen_by: Mapped[str] = mapped_column(String(32), default="")
    chosen_at: Mapped[float]
    state: Mapped[str] = mapped_column(default="wanted")
    reason: Mapped[dict[str, Any]] = mapped_column(default=dict)
