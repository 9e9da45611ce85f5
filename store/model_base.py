"""The base of the database schema: naming of constraints, types of columns, conditions and partial indexes.

What it refuses to know: the tables (models.py).
"""

from typing import Any

from sqlalchemy import JSON, Index, MetaData, Text, text
from sqlalchemy.orm import DeclarativeBase


def one_of(column: str, values: tuple[str, ...]) -> str:
    """The SQL condition `column IN ('a', 'b')` of constants."""
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def partial_index(name: str, *columns: str, where: str, sqlite: str = "", unique: bool = False) -> Index:
    """An index of the rows that meet a condition, which may be worded another way for SQLite."""
    return Index(name, *columns, unique=unique, sqlite_where=text(sqlite or where), postgresql_where=text(where))


_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Root of the tables; every id is a String(32), every other text is unbounded, every dict is JSON."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {str: Text, dict[str, Any]: JSON}  # noqa: RUF012 (SQLAlchemy reads it from the class)
