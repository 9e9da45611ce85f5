"""`inglenook doctor`: one line for each check, and what to do."""

import sys

import click

from deploy.doctor import FAIL, examine


@click.command("doctor")
@click.option("--quick", is_flag=True, help="do not load the model for a trial")
def doctor_command(quick: bool) -> None:
    """Check this machine and this house. Exit status 1 if something must be mended."""
    failed = 0
    for line in examine(trial=not quick):
        click.echo(line.text())
        failed += line.state == FAIL
    click.echo(f"{failed} to mend." if failed else "Nothing must be mended.")
    sys.exit(1 if failed else 0)
