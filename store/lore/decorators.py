"""Decorators of lorebook entries: lines such as `@@scan_depth 5` at the start of a content, as in V3 cards. Pure.

A line `@@name` counts if its name is in KNOWN; otherwise it is taken out, and the `@@@name` lines right behind it are
its fallbacks. Decorators are never shown to the model.
To honour another one: its name in KNOWN, its effect in `_entry` or `_conditions` of book.py.
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
    """A content without its decorators, the known decorators with their values, the names of the unknown ones."""

    text: str
    values: dict[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


def split(content: str) -> Decorated:
    """The decorators at the start of a content, and the rest."""
    lines = content.split("\n")
    values: dict[str, str] = {}
    unknown: list[str] = []
    is_known = True  # a fallback without a decorator before it is ignored
    n_lines = 0
    for n_lines, line in enumerate([*lines, ""]):  # noqa: B007 (the last value counts)
        word = line.strip()
        if not word.startswith("@@"):
            break
        fallback = word.startswith("@@@")
        name, _, value = word.lstrip("@").partition(" ")
        name = name.casefold()
        if fallback and is_known:
            continue
        is_known = name in KNOWN
        if is_known:
            values.setdefault(name, value.strip())
        else:
            unknown.append(name)
    return Decorated("\n".join(lines[n_lines:]).strip(), values, tuple(unknown))
