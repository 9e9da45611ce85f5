"""`inglenook invite`, `inglenook user ...`, `inglenook export`: accounts, as an operator can help with them.

What it refuses to know: how passwords are hashed (web does, as a child process) and what is in an export
(store/export.py).
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import click

from deploy.installation import CHECKOUT, Installation, find_installation, open_database
from deploy.offers import tell_offers
from deploy.preflight import DeployError
from store import accounts, export, invitations
from store.db import Database
from store.models import ROLES
from store.views import UserView


@click.command("invite")
@click.option("--role", type=click.Choice(ROLES), default="adult", show_default=True, help="what the new person may do")
@click.option("--name", default="", help="for whom it is: stands in the admin's list and in the person's form")
def invite_command(role: str, name: str) -> None:
    """Print a link that makes one account; it is good for a week."""
    installation = find_installation()
    with open_database(installation) as db:
        offered = invitations.invitation_offers(db, installation.settings, role, name)
    click.echo(offered[0].link)
    tell_offers(offered, installation.settings, click.echo)


@click.group("user")
def user_group() -> None:
    """See people, and help them."""


@user_group.command("list")
def user_list() -> None:
    """Everybody who has an account."""
    with open_database(find_installation()) as db:
        people = accounts.list_users(db)
    width = max((len(person.name) for person in people), default=0)
    for person in people:
        click.echo(
            f"{person.name:<{width}}  {person.role:<6}  since {datetime.fromtimestamp(person.created_at):%Y-%m-%d}"
        )
    if not people:
        click.echo("Nobody has an account yet: `inglenook invite --role admin` makes a link for the first one.")


@user_group.command("role")
@click.argument("name")
@click.argument("role", type=click.Choice(ROLES))
def user_role(name: str, role: str) -> None:
    """Give somebody another role."""
    _change(name, lambda db, person: accounts.set_role(db, person.id, role))
    click.echo(f"{name} is now: {role}.")


@user_group.command("password")
@click.argument("name")
def user_password(name: str) -> None:
    """Set somebody a new password, which is asked for; all their browsers are signed out."""
    installation = find_installation()
    with open_database(installation) as db:
        person = _find(db, name)
        password = click.prompt("New password", hide_input=True, confirmation_prompt="The same again")
        accounts.change_password(db, person.id, _hash(installation, password))
    click.echo(f"{person.name} has a new password, and is signed out everywhere.")


@user_group.command("sign-out")
@click.argument("name")
def user_sign_out(name: str) -> None:
    """Sign somebody out of all their browsers."""
    _change(name, lambda db, person: accounts.sign_out_everywhere(db, person.id))
    click.echo(f"{name} is signed out everywhere.")


@user_group.command("suspend")
@click.argument("name")
def user_suspend(name: str) -> None:
    """Keep somebody out; everything of theirs is kept."""
    _change(name, lambda db, person: accounts.suspend(db, person.id, True))
    click.echo(f"{name} is suspended, and signed out everywhere.")


@user_group.command("resume")
@click.argument("name")
def user_resume(name: str) -> None:
    """Let somebody in again who was suspended."""
    _change(name, lambda db, person: accounts.suspend(db, person.id, False))
    click.echo(f"{name} can sign in again.")


@user_group.command("delete")
@click.argument("name")
@click.option("--yes", is_flag=True, help="do not ask")
def user_delete(name: str, yes: bool) -> None:
    """Remove somebody and everything of theirs, for ever."""
    with open_database(find_installation()) as db:
        person = _find(db, name)
        question = f"Remove {person.name} with all chats and characters, for ever?"
        if not yes and not click.confirm(question):
            raise DeployError("Nothing was removed.")
        accounts.delete_account(db, person.id)
    click.echo(f"{person.name} is gone.")


@click.command("export")
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), default="-")
def export_command(name: str, file: Path) -> None:
    """Write everything of one person as JSON into FILE, or print it."""
    with open_database(find_installation()) as db:
        text = json.dumps(export.export_account(db, _find(db, name).id), ensure_ascii=False, indent=1)
    if str(file) == "-":
        click.echo(text)
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text + "\n")
    except OSError as error:
        raise DeployError(f"{file} cannot be written ({error.strerror}): name another file.") from None
    click.echo(f"{file} holds everything of {name}.")


def _change(name: str, change: Callable[[Database, UserView], object]) -> None:
    with open_database(find_installation()) as db:
        change(db, _find(db, name))


def _find(db: Database, name: str) -> UserView:
    person = accounts.find_user(db, name)
    if person is None:
        raise DeployError(f"Nobody is called {name}: `inglenook user list` shows the names.")
    return person


def _hash(installation: Installation, password: str) -> str:
    if importlib.util.find_spec("web") is None:
        raise DeployError(
            "Passwords are hashed by web: say this in the web container, `docker compose exec web inglenook`."
        )
    command = [sys.executable, "-m", "web.auth.hash_password"]
    done = subprocess.run(
        command,
        input=f"{password}\n",
        env=installation.environ,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DeployError(done.stderr.strip().splitlines()[-1])
    return done.stdout.strip()
