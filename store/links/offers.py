"""Offers: the same link with each address under which the server may be opened, the best one first.

What it does: the address that the admin uses comes first if others can reach it, then those that others can reach; one
that only this machine can open is offered where there is no other. Also the QR code of a link, as SVG and for a
terminal. What it refuses to know: what the link does.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import segno

from store.links.addresses import reach_of

MAX_OFFERS = 6


@dataclass(frozen=True)
class Offer:
    """A link, and who can open it: "machine", "network" or "anywhere" (addresses.py)."""

    link: str
    reach: str

    @property
    def svg(self) -> str:
        """The QR code of the link, as inline SVG without styles and without a size."""
        return segno.make(self.link, micro=False).svg_inline(dark="#000", light="#fff", border=3, omitsize=True)

    @property
    def blocks(self) -> str:
        """The QR code of the link in half blocks, for a terminal."""
        out = io.StringIO()
        segno.make(self.link, micro=False).terminal(out, border=2, compact=True)
        return out.getvalue()


def offers(origins: Sequence[str], path: str, used: str = "") -> tuple[Offer, ...]:
    """The link with each origin; `used`: the one through which it was asked for. There is always one."""
    known = dict.fromkeys((used, *origins) if used else origins)
    ranked = sorted(known, key=lambda origin: reach_of(origin) == "machine")
    open_to_others = [origin for origin in ranked if reach_of(origin) != "machine"]
    return tuple(Offer(origin + path, reach_of(origin)) for origin in (open_to_others[:MAX_OFFERS] or ranked[:1]))
