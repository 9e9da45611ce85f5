"""The character form: from a card to the form, from the form's fields back to a card. Pure: no requests, no database.

What it does: `form_of` and `read_form` give equal values when a person changed nothing, and `merge_into` writes only
the differences. So fields that the form does not know, and oddly written ones that were not changed, survive a round
trip.
To add a field of the character form: a text of the card: its name in TEXTS, its textarea (macro `area`) in
templates/character_form.html. Anything else: a field of CardForm, and a line in each of `form_of`, `read_form`,
`merge_into` and BLANK; its input in the template. Either needs `make words`; tests/web/test_card_form.py holds the
round trip. That it reaches the prompt is another thing (worker/prompt), and what an import report says of it
(store/cards/report.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import MultiDict

from store import texts
from store.status import MAX_FIELDS, read_field
from store.views import CharacterView
from store.wanted_model import one_line, wanted_model
from web.characters import tags

TEXTS = (
    *("description", "personality", "scenario", "first_mes", "mes_example"),
    *("system_prompt", "post_history_instructions", "creator_notes"),
)
MAX_GREETINGS = 30
BLANK: dict[str, Any] = {
    **dict.fromkeys(TEXTS, ""),
    "alternate_greetings": [],
    "group_only_greetings": [],
    "tags": [],
    "creator": "",
    "character_version": "1.0",
    "extensions": {},
}
_PARTS = ("name", "type", "unit", "minimum", "maximum", "options", "max_length")


@dataclass(frozen=True)
class StatusRow:
    """One row of the form's status fields, all text; `source` is its index in the card, empty for a new row."""

    name: str = ""
    type: str = "text"
    unit: str = ""
    minimum: str = ""
    maximum: str = ""
    options: str = ""
    max_length: str = ""
    source: str = ""

    def entry(self) -> dict[str, Any]:
        """The entry of a card. Raises ValueError for an invalid row."""
        entry: dict[str, Any] = {"name": " ".join(self.name.split()), "type": self.type}
        if self.type == "integer":
            entry |= {"minimum": int(self.minimum or 0), "maximum": int(self.maximum or 100)}
            entry |= {"unit": self.unit.strip()} if self.unit.strip() else {}
        elif self.type == "one_of":
            entry["options"] = list(tags.split_tags(self.options))
        elif self.max_length:
            entry["max_length"] = int(self.max_length)
        read_field(entry)
        return entry


@dataclass(frozen=True)
class CardForm:
    """The values of all fields of the form."""

    name: str = ""
    tagline: str = ""
    rating: str = "everyone"
    locale: str = "en"
    tags: str = ""
    wants_model: str = ""
    texts: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(TEXTS, ""))
    greetings: tuple[str, ...] = ()
    status: tuple[StatusRow, ...] = ()

    def wrong_rows(self) -> set[int]:
        """Indexes of the status rows that are invalid or repeat a name."""
        names = [" ".join(row.name.split()).casefold() for row in self.status]
        return {n for n, row in enumerate(self.status) if not _is_valid(row) or names.index(names[n]) != n}


def form_of(character: CharacterView) -> CardForm:
    """The form of a character."""
    card = character.card
    given = card.get("alternate_greetings")
    greetings = given if isinstance(given, list) else [given]
    return CardForm(
        name=character.name,
        tagline=character.tagline,
        rating=character.rating,
        locale=character.locale,
        tags=", ".join(tags.tags_of(card)),
        wants_model=wanted_model(card),
        texts={name: _text(card.get(name)) for name in TEXTS},
        greetings=tuple(filter(str.strip, map(_text, greetings))),
        status=tuple(_row(number, entry) for number, entry in enumerate(_status(card)) if isinstance(entry, Mapping)),
    )


def read_form(form: "MultiDict[str, str]") -> CardForm:
    """The form that a browser sent."""
    columns = [[_text(value) for value in form.getlist(f"status_{part}")] for part in (*_PARTS, "source")]
    rows = [StatusRow(*cells) for cells in zip(*columns, strict=False)][:MAX_FIELDS]
    return CardForm(
        name=_text(form.get("name")),
        tagline=_text(form.get("tagline")),
        rating=form.get("rating", "everyone"),
        locale=form.get("locale", "en"),
        tags=_text(form.get("tags")),
        wants_model=one_line(form.get("wants_model", "")),
        texts={name: _text(form.get(name)) for name in TEXTS},
        greetings=tuple(filter(str.strip, map(_text, form.getlist("greeting"))))[:MAX_GREETINGS],
        status=tuple(row for row in rows if row.name.strip()),
    )


def merge_into(card: Mapping[str, Any], before: CardForm, after: CardForm) -> dict[str, Any]:
    """The card with the differences between the two forms. Raises ValueError for an invalid status row."""
    merged = dict(card)
    if after.name != before.name or "name" not in merged:
        merged["name"] = " ".join(after.name.split())
    for name in TEXTS:
        if after.texts[name] != before.texts[name]:
            merged[name] = after.texts[name]
    if after.greetings != before.greetings:
        merged["alternate_greetings"] = list(after.greetings)
    if after.tags != before.tags:
        merged["tags"] = list(tags.split_tags(after.tags))
    if after.status != before.status:
        merged["extensions"] = _with_status(merged, after.status)
    if after.wants_model != before.wants_model:
        merged["extensions"] = _with_own(merged, "wants_model", after.wants_model)
    return merged


def _with_status(card: Mapping[str, Any], rows: tuple[StatusRow, ...]) -> dict[str, Any]:
    """The extensions of a card with these status rows; unknown keys of an entry stay with it."""
    old = {str(number): entry for number, entry in enumerate(_status(card)) if isinstance(entry, Mapping)}
    entries = []
    for row in rows:
        more = {key: value for key, value in old.get(row.source, {}).items() if key not in _PARTS}
        entries.append(row.entry() | more)
    return _with_own(card, "status", entries)


def _with_own(card: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The extensions of a card with this value of ours; without it where there is none any more."""
    extensions = _mapping(card.get("extensions"))
    own = _mapping(extensions.get("inglenook")) | {name: value}
    if not value:
        del own[name]
    return extensions | {"inglenook": own}


def _status(card: Mapping[str, Any]) -> list[Any]:
    given = _mapping(_mapping(card.get("extensions")).get("inglenook")).get("status")
    return given[:MAX_FIELDS] if isinstance(given, list) else []


def _row(number: int, entry: Mapping[str, Any]) -> StatusRow:
    values = {part: entry.get(part) for part in _PARTS}
    options = values.pop("options")
    cells = {part: "" if value is None else _text(str(value)) for part, value in values.items()}
    words = ", ".join(map(str, options)) if isinstance(options, list) else ""
    return StatusRow(**{**cells, "options": _text(words), "source": str(number)})


def _is_valid(row: StatusRow) -> bool:
    try:
        row.entry()
    except ValueError:
        return False
    return True


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    """Text with plain line ends, as both sides of the comparison have it."""
    return texts.clean(value) if isinstance(value, str) else ""
