"""The command group `inglenook`, and how errors of commands are reported.

Errors that a person can correct end every command as one sentence on standard error and exit status 1, without a
traceback.
To add a CLI command: its function with `@click.command` in a module here (it starts with
`installation.find_installation()`; its docstring is the help text); its name in the loop below; a new kind of error in
`_REPORTED`; docs/operators.md; a case in tests/deploy/test_cli.py.
"""

from typing import Any

import click
from redis.exceptions import RedisError

from deploy.cli.backup import backup_command, restore_command
from deploy.cli.doctor import doctor_command
from deploy.cli.models import model_group
from deploy.cli.people import export_command, invite_command, user_group
from deploy.cli.stats import stats_command
from deploy.preflight import DeployError
from store.backup.archive import BackupError
from store.db import DatabaseTrouble
from store.error_texts import english
from store.errors import StoreError
from store.settings import SettingsError

_REPORTED = (DeployError, SettingsError, BackupError)


class Sentence(click.ClickException):
    """One sentence on standard error."""

    def show(self, file: Any = None) -> None:
        """Print the message with the prefix of the command."""
        click.echo(f"inglenook: {self.message}", err=True, file=file)


class Sentences(click.Group):
    """A command group that reports expected errors as one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except StoreError as error:
            raise Sentence(english(error.reason, error.values)) from None
        except _REPORTED as error:
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
    """Keep an installation of inglenook running: check it, invite and help people, save it and bring it back."""


for command in (
    doctor_command,
    invite_command,
    user_group,
    model_group,
    backup_command,
    restore_command,
    export_command,
    stats_command,
):
    cli.add_command(command)
