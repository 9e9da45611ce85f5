"""Makes a frozen view from a row (or another view) by the names of its fields."""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, Protocol, TypeVar


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


V = TypeVar("V", bound=_Dataclass)


def view_of(view: type[V], source: object, **given: Any) -> V:
    """Build `view` from the attributes of the same names of `source`, except those that are given."""
    names, read = _reader(view, frozenset(given))
    return view(**given, **dict(zip(names, read(source), strict=True)))


@cache
def _reader(
    view: type[_Dataclass], given: frozenset[str]
) -> tuple[tuple[str, ...], Callable[[object], tuple[Any, ...]]]:
    """The names of the fields that are not given, and what reads them all: a story has hundreds of rows."""
    names = tuple(name for name in view.__dataclass_fields__ if name not in given)
    return names, attrgetter(*names) if len(names) > 1 else lambda source: (getattr(source, names[0]),)
