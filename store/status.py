"""Status panel: the typed fields that a card wants to be filled in after each reply.

What it does: reads and checks the definition in `card["extensions"]["inglenook"]["status"]`, a list of fields:

    {"name": "Mood",   "type": "one_of",  "options": ["calm", "merry"]}
    {"name": "Energy", "type": "integer", "minimum": 0, "maximum": 100, "unit": "%"}
    {"name": "Place",  "type": "text",    "max_length": 40}

A field that makes no sense is ignored and logged; `read_field` raises instead, for forms that edit one.
What it refuses to know: grammars and tokens (worker/prompt/status.py).
To add a type: a class here and in StatusField, its grammar and reader in worker/prompt/status.py, its form in
web/characters/card_form.py.
"""

import logging
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

log = logging.getLogger(__name__)

MAX_FIELDS = 8
_LINE = r"^[^\n\r\t\x00-\x1f:\"\\\\]+$"
Line = Annotated[str, Field(min_length=1, max_length=40, pattern=_LINE)]


class _Field(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Line


class IntegerField(_Field):
    """A whole number between two bounds, perhaps with a unit."""

    type: Literal["integer"]
    minimum: int = Field(0, ge=-999_999)
    maximum: int = Field(100, le=999_999)
    unit: str = Field("", max_length=12, pattern=r"^[^\n\r\t\x00-\x1f\"\\\\]*$")

    @model_validator(mode="after")
    def _in_order(self) -> "IntegerField":
        if self.minimum > self.maximum:
            raise ValueError(f"the minimum {self.minimum} is above the maximum {self.maximum}")
        return self


class ChoiceField(_Field):
    """One of some words."""

    type: Literal["one_of"]
    options: tuple[Line, ...] = Field(min_length=1, max_length=20)


class TextField(_Field):
    """A few words."""

    type: Literal["text"]
    max_length: int = Field(40, ge=1, le=120)


StatusField = IntegerField | ChoiceField | TextField
_FIELD: TypeAdapter[StatusField] = TypeAdapter(Annotated[StatusField, Field(discriminator="type")])
DEFAULT: tuple[StatusField, ...] = (
    TextField(name="Mood", type="text", max_length=30),
    TextField(name="Place", type="text", max_length=40),
)


def fields_of(card: Mapping[str, Any]) -> tuple[StatusField, ...]:
    """The fields of a card; DEFAULT where it defines no valid one."""
    extensions = card.get("extensions")
    own = extensions.get("inglenook") if isinstance(extensions, Mapping) else None
    definitions = own.get("status") if isinstance(own, Mapping) else None
    fields: dict[str, StatusField] = {}
    for entry in definitions[:MAX_FIELDS] if isinstance(definitions, list) else []:
        try:
            field = read_field(entry)
        except ValueError as error:
            log.info("A status field of %r is left out: %s", card.get("name"), error)
        else:
            fields.setdefault(re.sub(r"\s+", " ", field.name).strip(), field)
    return tuple(fields.values()) or DEFAULT


def read_field(entry: Any) -> StatusField:
    """One field of a definition. Raises ValueError with a sentence."""
    try:
        return _FIELD.validate_python(entry)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'field'}: {first['msg']}") from error
