"""Decorators: lines such as `@@scan_depth 5` at the start of an entry's content, as V3 cards have them. Pure.

How: a line with `@@` that is known here counts; one that is not is taken out and ignored, and the lines with `@@@`
right behind it are what its author would have instead. They are never shown to the model.
To honour another one: add its name to KNOWN, and read it in book.py.
"""

from dataclasses import dataclass, field

KNOWN = frozenset(
    {
        "activate_only_after",
        "activate_only_every",
        "keep_activate_after_match",
        "dont_activate_after_match",
        "scan_depth",
        "depth",
        "role",
        "position",
        "additional_keys",
        "exclude_keys",
        "activate",
        "dont_activate",
    }
)


@dataclass(frozen=True, slots=True)
class Decorated:
    """A content taken apart: the text that is told, the decorators that count, the names of those that do not."""

    text: str
    values: dict[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


def split(content: str) -> Decorated:
    """The decorators at the start of a content, and the rest."""
    lines = content.split("\n")
    values: dict[str, str] = {}
    unknown: list[str] = []
    heeded = True  # no fallback belongs to nothing
    n_lines = 0
    for n_lines, line in enumerate([*lines, ""]):  # noqa: B007 (how far it came is what counts)
        word = line.strip()
        if not word.startswith("@@"):
            break
        fallback = word.startswith("@@@")
        name, _, value = word.lstrip("@").partition(" ")
        name = name.casefold()
        if fallback and heeded:
            continue
        heeded = name in KNOWN
        if heeded:
            values.setdefault(name, value.strip())
        else:
            unknown.append(name)
    return Decorated("\n".join(lines[n_lines:]).strip(), values, tuple(unknown))
