"""The status panel: its fields become a grammar for the model, the decoded text becomes values. Pure.

One line per field, `Name: value`; the grammar allows nothing else, so parsing only fails when the reply was cut off.
What it refuses to know: cards and the checks of their fields (store/status.py), tokens.
To add a type of field: store/status.py, and a branch in `_value_rule` and `_read`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from store.status import ChoiceField, IntegerField, StatusField, TextField
from worker.prompt.errors import StatusError


def grammar(fields: Sequence[StatusField]) -> str:
    """The GBNF grammar of a status of these fields."""
    return "root ::= " + ' "\\n" '.join(map(_line_rule, fields)) + "\n"


def parse(fields: Sequence[StatusField], text: str) -> list[dict[str, Any]]:
    """The values, in the order of the fields: [{name, value, unit}]. Raises StatusError."""
    lines = text.strip().split("\n")
    if len(lines) != len(fields):
        raise StatusError("bad_status.lines", lines=len(lines), fields=len(fields))
    return [_read(field, line) for field, line in zip(fields, lines, strict=True)]


def _read(field: StatusField, line: str) -> dict[str, Any]:
    name, _, value = line.partition(":")
    unit = _unit(field).strip()
    value = value.strip().removesuffix(unit).strip()
    if name.strip() != field.name or not value:
        raise StatusError("bad_status.missing", field=repr(field.name))
    if isinstance(field, IntegerField):
        return {"name": field.name, "value": _bounded(field, value), "unit": unit}
    return {"name": field.name, "value": value, "unit": ""}


def _bounded(field: IntegerField, value: str) -> int:
    """The number within its limits: the grammar only limits its digits."""
    try:
        return min(field.maximum, max(field.minimum, int(value)))
    except ValueError:
        raise StatusError("bad_status.no_number", field=repr(field.name)) from None


def _line_rule(field: StatusField) -> str:
    unit = _quoted(_unit(field)) if _unit(field) else ""
    return f"{_quoted(field.name + ': ')} {_value_rule(field)} {unit}".rstrip()


def _value_rule(field: StatusField) -> str:
    if isinstance(field, ChoiceField):
        return "(" + " | ".join(map(_quoted, field.options)) + ")"
    if isinstance(field, TextField):
        return rf"[^ \n\r\t:] [^\n\r\t]{{0,{field.max_length - 1}}}"
    n_digits = len(str(max(abs(field.minimum), abs(field.maximum))))
    sign = '"-"? ' if field.minimum < 0 else ""
    return f"{sign}[0-9]{{1,{n_digits}}}"


def _unit(field: StatusField) -> str:
    return f" {field.unit}" if isinstance(field, IntegerField) and field.unit else ""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
