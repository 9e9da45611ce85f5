"""How a frozen value is made from a row: by the names of its fields."""

from typing import Any, ClassVar, Protocol, TypeVar


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


V = TypeVar("V", bound=_Dataclass)


def view_of(view: type[V], source: object, **given: Any) -> V:
    """Build `view` from the attributes of the same names of `source`, except those that are given."""
    names = (name for name in view.__dataclass_fields__ if name not in given)
    return view(**given, **{name: getattr(source, name) for name in names})
