"""The command `inglenook` itself: which commands there are, and how a failure is said.

What a person can mend leaves every command as one sentence on standard error and exit status 1, never as a traceback.
To add a command: write it in a file of its own kind beside this one, and name it here.
"""

from typing import Any

import click
from redis.exceptions import RedisError

from deploy.cli.backup import backup_command, restore_command
from deploy.cli.doctor import doctor_command
from deploy.cli.people import export_command, invite_command, user_group
from deploy.cli.stats import stats_command
from deploy.preflight import DeployError
from store.backup.archive import BackupError
from store.db import DatabaseTrouble
from store.error_texts import english
from store.errors import StoreError
from store.settings import SettingsError

_SAID = (DeployError, SettingsError, BackupError)


class Sentence(click.ClickException):
    """One sentence on standard error."""

    def show(self, file: Any = None) -> None:
        """Print it as everything else here does."""
        click.echo(f"inglenook: {self.message}", err=True, file=file)


class Sentences(click.Group):
    """A group whose commands end in a sentence where a person can do something about it."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except StoreError as error:
            raise Sentence(english(error.reason, error.values)) from None
        except _SAID as error:
            raise Sentence(str(error)) from None
        except DatabaseTrouble as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise Sentence(f"The database cannot be used ({reason}): `inglenook doctor` says more.") from None
        except ModuleNotFoundError as error:
            raise Sentence(
                f"The module {error.name} is missing: install it, `.venv/bin/pip install {error.name}`."
            ) from None
        except RedisError as error:
            raise Sentence(f"Redis cannot be used ({error}): `inglenook doctor` says more.") from None


@click.group(cls=Sentences, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Keep a house of inglenook running: check it, invite and help people, save it and bring it back."""


for command in (
    doctor_command,
    invite_command,
    user_group,
    backup_command,
    restore_command,
    export_command,
    stats_command,
):
    cli.add_command(command)
