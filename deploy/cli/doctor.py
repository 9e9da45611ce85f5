"""`inglenook doctor`: prints one line for each finding of deploy/doctor.py."""

import sys

import click

from deploy.doctor import FAIL, examine


@click.command("doctor")
@click.option("--quick", is_flag=True, help="do not load the model for a trial")
def doctor_command(quick: bool) -> None:
    """Check this machine and this installation. Exit status 1 if something must be mended."""
    failed = 0
    for finding in examine(trial=not quick):
        click.echo(finding.text())
        failed += finding.state == FAIL
    click.echo(f"{failed} to mend." if failed else "Nothing must be mended.")
    sys.exit(1 if failed else 0)
