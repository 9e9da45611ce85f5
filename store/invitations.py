"""Invitation links, as `inglenook invite`, `python -m web.auth.invite` and the first start print them.

What it refuses to know: who reads them. The path of the invitation page is the one thing here that web has, too.
"""

from store import accounts
from store.db import Database
from store.links.offers import Offer, offers
from store.settings import Settings


def invitation_offers(db: Database, settings: Settings, role: str, name: str = "") -> tuple[Offer, ...]:
    """A link that makes one account of this role, for a week, with each address that others can open. Raises Refused
    "bad_role", "bad_name"."""
    _, token = accounts.create_invite(db, role, name=name)
    return offers(settings.origins, f"/invite/{token}")


def invitation_link(db: Database, settings: Settings, role: str) -> str:
    """The same, with the likeliest address only."""
    return invitation_offers(db, settings, role)[0].link


def first_admin_offers(db: Database, settings: Settings) -> tuple[Offer, ...]:
    """The links for the first admin; none as soon as there is one."""
    return () if accounts.has_admin(db) else invitation_offers(db, settings, "admin")


def first_admin_link(db: Database, settings: Settings) -> str:
    """The likeliest of them; empty as soon as there is one."""
    return next((offer.link for offer in first_admin_offers(db, settings)), "")
