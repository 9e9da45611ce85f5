"""`python -m web.auth.invite`: prints an invitation link.

Without `--role`: an admin invitation while there is no admin, else nothing at all. With `--role`: one for that role.
"""

import argparse
import sys

from store import invitations
from store.db import Database
from store.error_texts import english
from store.errors import StoreError
from store.models import ROLES
from store.private_files import protect
from store.settings import SettingsError, load_settings


def main(arguments: list[str] | None = None) -> int:
    """Print the link, or nothing. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m web.auth.invite", description=__doc__)
    parser.add_argument("--role", choices=ROLES, help="invite somebody else with this role")
    role = parser.parse_args(arguments).role
    try:
        link = _link(role)
    except StoreError as error:
        sys.stderr.write(f"{english(error.reason, error.values)}\n")
        return 1
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if link:
        sys.stdout.write(f"{link}\n")
    return 0


def _link(role: str | None) -> str:
    settings = load_settings()
    protect(settings.data_dir)
    database = Database(settings.database_url)
    try:
        database.migrate()
        if role is None:
            return invitations.first_admin_link(database, settings)
        return invitations.invitation_link(database, settings, role)
    finally:
        database.close()


if __name__ == "__main__":
    sys.exit(main())
