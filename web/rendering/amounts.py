"""Formatting of amounts for people: durations, sizes, large numbers. Template filters.

What it refuses to know: what is being counted.
"""

from flask import Flask

from web.i18n.language import gettext

UNITS = ("B", "kB", "MB", "GB", "TB")


def init_app(app: Flask) -> None:
    """Give templates `seconds`, `n_bytes` and `number`."""
    app.add_template_filter(seconds, "seconds")
    app.add_template_filter(n_bytes, "n_bytes")
    app.add_template_filter(number, "number")


def seconds(value: float) -> str:
    """A duration: 0.4 s, 12 s, 3 min, 2.5 h."""
    if value < 9.95:
        return gettext("%(n)s s", n=f"{value:.1f}" if value else "0")
    if value < 119.5:
        return gettext("%(n)s s", n=round(value))
    if value < 5970:
        return gettext("%(n)s min", n=round(value / 60))
    return gettext("%(n)s h", n=f"{value / 3600:.1f}")


def n_bytes(value: float) -> str:
    """A size in decimal units: 640 kB, 1.2 GB."""
    for unit in UNITS:
        if value < 999.5 or unit == UNITS[-1]:
            break
        value /= 1000
    return f"{value:.1f} {unit}" if value < 9.95 and unit != "B" else f"{value:.0f} {unit}"


def number(value: float) -> str:
    """A count: 950, 12,400, 3.1 M."""
    return f"{value / 1e6:.1f} M" if value >= 999_500 else f"{value:,.0f}"
