"""The form of one lorebook entry: from an entry to the form, validation, and back.

What it does: `fingerprint` is an optimistic lock: a form that was filled in for another state of the entry is not
saved. What it refuses to know: files and their names for things (store/lore/edit.py). To add a field of an entry:
EntryDraft there (with its reading and writing); here EntryForm with `form_of`, `read_form` and `draft`, or for a number
or a checkbox one line in NUMBERS or TICKS; its input in templates/lorebook_entry.html (NUMBERS come by themselves);
`make words`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from werkzeug.datastructures import MultiDict

from store import texts
from store.lore.edit import EntryDraft
from web.i18n.language import gettext, marked

NUMBERS: Mapping[str, tuple[str, str, int, int]] = {  # label, hint, least, most
    "order": (marked("Order"), marked("Lower comes earlier."), -1_000_000, 1_000_000),
    "probability": (marked("Probability in %%"), marked("How often it is triggered when a keyword comes up."), 0, 100),
    "scan_depth": (
        marked("Scan depth"),
        marked("Messages that are searched for keywords. Empty: as the lorebook says."),
        0,
        1000,
    ),
    "sticky": (marked("Sticky"), marked("Messages for which it stays active once it is triggered."), 0, 1_000_000),
    "cooldown": (
        marked("Cooldown"),
        marked("Messages after that for which it cannot be triggered again."),
        0,
        1_000_000,
    ),
    "delay": (marked("Delay"), marked("Messages that the story must have before it can be triggered."), 0, 1_000_000),
}
TICKS = ("enabled", "constant", "selective", "case_sensitive", "whole_words")
LOGIC = (  # in the order of store.lore.book.LOGICS
    marked("any of these is there, too"),
    marked("not all of these are there"),
    marked("none of these is there"),
    marked("all of these are there, too"),
)
MAX_KEYS, MAX_KEY_LENGTH = 200, 500


@dataclass(frozen=True)
class EntryForm:
    """The values of all fields of the form, as text."""

    name: str = ""
    keys: str = ""
    secondary: str = ""
    content: str = ""
    logic: str = "0"
    numbers: Mapping[str, str] = field(default_factory=dict)
    ticks: frozenset[str] = frozenset()

    def wrong(self) -> dict[str, str]:
        """Validation: field -> the sentence that says what is wrong with it."""
        sentences = {}
        for name, (_, _, least, most) in NUMBERS.items():
            if not _is_number(self.numbers[name], least, most, optional=name == "scan_depth"):
                sentences[name] = gettext("This is a whole number from %(least)s to %(most)s.", least=least, most=most)
        if len(self.content) > texts.MAX_TEXT:
            sentences["content"] = gettext("This text is too long: %(n)s characters fit.", n=texts.MAX_TEXT)
        for name, words in (("keys", _lines(self.keys)), ("secondary", _lines(self.secondary))):
            if len(words) > MAX_KEYS or any(len(word) > MAX_KEY_LENGTH for word in words):
                sentences[name] = gettext(
                    "At most %(n)s keywords of %(most)s characters.", n=MAX_KEYS, most=MAX_KEY_LENGTH
                )
        return sentences

    def draft(self, before: EntryDraft) -> EntryDraft:
        """The entry to save. A text that differs only in its line ends (browsers change them) stays as it was."""
        numbers: dict[str, Any] = {name: int(value) for name, value in self.numbers.items() if value}
        content = before.content if texts.clean(before.content) == self.content else self.content
        return replace(
            before,
            name=" ".join(self.name.split()),
            keys=_lines(self.keys),
            secondary=_lines(self.secondary),
            content=content,
            logic=int(self.logic),
            scan_depth=numbers.pop("scan_depth", None),
            **numbers,
            **{name: name in self.ticks for name in TICKS},
        )


def form_of(draft: EntryDraft) -> EntryForm:
    """The form of an entry."""
    return EntryForm(
        name=draft.name,
        keys="\n".join(draft.keys),
        secondary="\n".join(draft.secondary),
        content=draft.content,
        logic=str(draft.logic),
        numbers={name: _written(getattr(draft, name)) for name in NUMBERS},
        ticks=frozenset(name for name in TICKS if getattr(draft, name)),
    )


def read_form(form: "MultiDict[str, str]") -> EntryForm:
    """The form that a browser sent."""
    logic = form.get("logic", "0")
    return EntryForm(
        name=texts.clean(form.get("name", ""))[:200],
        keys=texts.clean(form.get("keys", "")),
        secondary=texts.clean(form.get("secondary", "")),
        content=texts.clean(form.get("content", "")),
        logic=logic if logic in ("0", "1", "2", "3") else "0",
        numbers={name: form.get(name, "").strip() for name in NUMBERS},
        ticks=frozenset(name for name in TICKS if form.get(name)),
    )


def fingerprint(draft: EntryDraft) -> str:
    """A hash of an entry, sent with its form: another one means that the entry was changed meanwhile."""
    return hashlib.blake2b(repr(draft).encode(errors="backslashreplace"), digest_size=8).hexdigest()


def _written(value: int | None) -> str:
    return "" if value is None else str(value)


def _is_number(value: str, least: int, most: int, optional: bool) -> bool:
    if not value:
        return optional
    return value.removeprefix("-").isdecimal() and len(value) < 12 and least <= int(value) <= most


def _lines(value: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in value.split("\n") if line.strip())
