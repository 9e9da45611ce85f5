"""Switches of a story's long-term memory: whether notes are written, and whether passages are recalled; both are on
unless told otherwise."""

from collections.abc import Mapping
from typing import Any

from store.errors import Refused

ALL = NOTES, RECALL = "notes", "recall"


def checked(value: Mapping[str, Any]) -> dict[str, bool]:
    """The switches, if every one is known and a truth value. Raises Refused "bad_setting"."""
    for name, is_on in value.items():
        if name not in ALL:
            raise Refused("bad_setting.unknown", name=repr(name), settings=", ".join(ALL))
        if not isinstance(is_on, bool):
            raise Refused("bad_setting.switch", name=name)
    return dict(value)


def is_on(memory: Mapping[str, Any], name: str) -> bool:
    """Whether this switch of a chat is on."""
    return bool(memory.get(name, True))
