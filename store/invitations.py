"""Invitation links, as `inglenook invite`, `python -m web.auth.invite` and the first start print them.

What it refuses to know: who reads them. The path of the invitation page is the one thing here that web has, too.
"""

from store import accounts
from store.db import Database
from store.settings import Settings


def invitation_link(db: Database, settings: Settings, role: str) -> str:
    """A link that makes one account of this role, for a week. Raises Refused "bad_role"."""
    _, token = accounts.create_invite(db, role)
    return f"{settings.origins[0]}/invite/{token}"


def first_admin_link(db: Database, settings: Settings) -> str:
    """A link for the first admin; empty as soon as there is one."""
    return "" if accounts.has_admin(db) else invitation_link(db, settings, "admin")
