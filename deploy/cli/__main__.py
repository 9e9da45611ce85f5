"""`python -m deploy.cli`: the same as the command `inglenook`."""

from deploy.cli.main import cli

cli(prog_name="inglenook")
