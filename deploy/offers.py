"""Links in the terminal: behind the first one the other addresses, its QR code, or why only this machine can open it.

What it refuses to know: what a link does, and its first line, which programs read (run.py, cli/people.py).
"""

import sys
from collections.abc import Callable, Sequence

from store.links.addresses import machine_addresses
from store.links.offers import Offer
from store.settings import Settings


def tell_offers(offered: Sequence[Offer], settings: Settings, say: Callable[[str], None]) -> None:
    """Say what belongs to a link, a person reading; a program that reads gets the first line alone."""
    if not sys.stdout.isatty():
        return
    if offered[0].reach == "machine":
        say(f"\n  {only_here(settings)}")
        return
    for offer in offered[1:]:
        say(f"  or               {offer.link}")
    say(f"\n{offered[0].blocks}")


def only_here(settings: Settings) -> str:
    """Why nobody else can open a link, and how they can."""
    addresses = machine_addresses()
    there = f", then http://{addresses[0]}:{settings.port} opens it" if addresses else ""
    return (
        f"Only this machine can open that link: the server listens on {settings.host}. To let others in, start it with "
        f"INGLENOOK_HOST=0.0.0.0{there}."
    )
