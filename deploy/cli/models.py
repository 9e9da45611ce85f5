"""`inglenook model ...`: the models of this house, as the admin's page of models has them, on the terminal.

What it does: writes what is wanted into the shelf and follows what becomes of it; while nothing runs, it runs the
downloader itself for as long (fetching.py).
What it refuses to know: hubs, GGUF files and memory plans (the downloader's and the workers').
To add a command: as in main.py; what it writes is a function of store/shelf/asking.py or choices.py.
"""

from collections.abc import Callable

import click
from redis.exceptions import RedisError

from deploy.cli import model_words
from deploy.cli.fetching import Progress, downloader, follow, free_for_models
from deploy.installation import Installation, find_installation, open_database
from deploy.preflight import DeployError
from store.broker import client, registry
from store.db import Database
from store.settings import AUTO
from store.shelf import asking, catalogue, choices, reading
from store.shelf.names import ModelSource, source_of
from store.shelf.room import room_of
from store.shelf.views import ModelFileView

AT_REST = ("installed", "failed", "canceled", "gone", "listed", "paused")
LOOKED = ("looked", *AT_REST)


@click.group("model")
def model_group() -> None:
    """See which models are here, get others, and choose which one answers."""


@model_group.command("list")
def model_list() -> None:
    """The models that are here or on their way, and the room for them; a star: a worker was told to run it."""
    installation = find_installation()
    with open_database(installation) as db:
        files = [file for file in reading.list_files(db) if file.state != "canceled"]
        for line in model_words.table(files, choices.list_choices(db)):
            click.echo(line)
    if not files:
        click.echo("No model of your own is here: `inglenook model find` shows some that people run.")
    click.echo(model_words.room_line(room_of(files, free_for_models(installation))))


@model_group.command("find")
@click.argument("words", nargs=-1)
@click.option("--card", type=click.Choice([str(size) for size in catalogue.CARDS_GB]), help="for a card of so many GB")
def model_find(words: tuple[str, ...], card: str | None) -> None:
    """Search the catalogue by words; of a repository, owner/name, show the files."""
    if len(words) == 1 and "/" in words[0]:
        _list_files(words[0])
        return
    found = [entry for entry in catalogue.search(" ".join(words)) if card is None or int(card) in entry.cards]
    for entry in found:
        for line in model_words.suggestion(entry):
            click.echo(line)
    hint = "`inglenook model plan NAME` tells whether it fits, `inglenook model get NAME` fetches it."
    click.echo(hint if found else "The catalogue has nothing like that: name a repository, owner/name.")


@model_group.command("get")
@click.argument("name")
@click.option("--file", default="", help="the file in the repository, or a pattern with *")
@click.option("--sha256", default="", help="of a file from an address: what it must be")
@click.option("--use", "and_use", is_flag=True, help="and let it answer as soon as it is here")
def model_get(name: str, file: str, sha256: str, and_use: bool) -> None:
    """Fetch a model: a name of the catalogue, owner/name (with --file), an address, or one that was broken off."""
    installation = find_installation()
    with open_database(installation) as db:
        got = _want(installation, db, name, file, sha256, whole=True)
        _refuse_unless(got, "installed")
        if and_use:
            _use(installation, db, got.name, "")


@model_group.command("plan")
@click.argument("name")
@click.option("--file", default="", help="the file in the repository, or a pattern with *")
@click.option("--sha256", default="", help="of a file from an address: what it must be")
def model_plan(name: str, file: str, sha256: str) -> None:
    """Tell whether a model fits here, before it is fetched: a worker plans from the beginning of the file."""
    installation = find_installation()
    with open_database(installation) as db:
        looked = _want(installation, db, name, file, sha256, whole=False)
        _refuse_unless(looked, "looked", "installed", "paused")
        if not _workers(installation):
            raise DeployError("No worker is there to plan it: start inglenook, then ask again.")
        planned = follow(db, looked, lambda one: bool(one.plans or one.facts.get("reason")))
    if reason := planned.facts.get("reason"):
        raise DeployError(model_words.failure_text(reason))
    for one in planned.plans.values():
        click.echo(model_words.plan(one))


@model_group.command("use")
@click.argument("name", required=False, default="")
@click.option("--worker", default="", help="which worker; without it every one that is there")
@click.option("--as-started", is_flag=True, help="the model of INGLENOOK_MODEL again, or the demo model")
def model_use(name: str, worker: str, as_started: bool) -> None:
    """Let a model that is here answer from now on; running replies are given back and go on after it."""
    if bool(name) == as_started:
        raise DeployError("Name a model, or say --as-started: `inglenook model list` shows the names.")
    installation = find_installation()
    with open_database(installation) as db:
        _use(installation, db, _find(db, name).name if name else choices.AS_STARTED, worker)


@model_group.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="do not ask")
def model_remove(name: str, yes: bool) -> None:
    """Delete a model's file and what its stories keep in memory; the stories stay."""
    installation = find_installation()
    with open_database(installation) as db:
        file = _find(db, name)
        question = f"Delete {file.name} ({model_words.size_text(file.size)}) for good?"
        if not yes and not click.confirm(question):
            raise DeployError("Nothing was removed.")
        asked = asking.remove(db, file.id)
        with downloader(installation):
            left = follow(db, asked, lambda one: one.state == "gone" or one.wanted != "remove")
    if left.state != "gone":
        raise DeployError(model_words.progress(left))
    click.echo(f"{left.name} is removed.")


@model_group.command("pause")
@click.argument("name")
def model_pause(name: str) -> None:
    """Stop fetching a model; what is here is kept, and `inglenook model get` goes on from there."""
    with open_database(find_installation()) as db:
        click.echo(model_words.progress(asking.pause(db, _find(db, name).id)))


@model_group.command("cancel")
@click.argument("name")
def model_cancel(name: str) -> None:
    """Give up fetching a model; what is here of it is deleted."""
    with open_database(find_installation()) as db:
        click.echo(model_words.progress(asking.cancel(db, _find(db, name).id)))


def _want(installation: Installation, db: Database, name: str, file: str, sha256: str, *, whole: bool) -> ModelFileView:
    """Ask for a model and follow it until it is here (`whole`), or its header is."""
    known = reading.find_file(db, name) if not file else None
    if known and known.state == "installed":
        return known
    ends = AT_REST if whole else LOOKED
    with downloader(installation):
        return follow(db, _ask(db, known, name, file, sha256, whole), lambda one: one.state in ends, Progress())


def _ask(db: Database, known: ModelFileView | None, name: str, file: str, sha256: str, whole: bool) -> ModelFileView:
    if known:
        return asking.get(db, known.id) if whole else known
    ask_for: Callable[[Database, ModelSource], ModelFileView] = asking.ask_to_get if whole else asking.ask_to_look
    return ask_for(db, _source(name, file, sha256))


def _source(name: str, file: str, sha256: str) -> ModelSource:
    entry = catalogue.find(name)
    if entry:
        return source_of(entry.repo, file or entry.file)
    if "://" in name:
        return source_of(url=name, sha256=sha256)
    if not name.strip():
        raise DeployError("Name a model: `inglenook model find` shows some that people run.")
    if "/" not in name:
        raise DeployError(
            f"The catalogue has no {name}: `inglenook model find` shows its names; or name owner/name with --file."
        )
    return source_of(name, file)


def _list_files(repo: str) -> None:
    installation = find_installation()
    with open_database(installation) as db, downloader(installation):
        asked = asking.ask_to_look(db, source_of(repo))
        listed = follow(db, asked, lambda one: one.state in LOOKED)
        if listed.state == "listed":
            asking.forget(db, listed.id)
    if listed.state == "failed":
        raise DeployError(model_words.progress(listed))
    for one in listed.facts.get("files") or [{"path": listed.path, "size": listed.size}]:
        click.echo(f"{one['path']}  {model_words.size_text(one['size'])}")


def _use(installation: Installation, db: Database, name: str, worker: str) -> None:
    living = _workers(installation)
    named = installation.settings.worker_name
    wanted = (worker,) if worker else living or (("gpu0",) if named == AUTO else (named,))
    for one in wanted:
        choices.choose(db, one, name)
        when = "changes its model now: `inglenook model list` shows it" if one in living else "takes it when it starts"
        click.echo(f"{one} {when} ({name or 'as started'}).")


def _workers(installation: Installation) -> tuple[str, ...]:
    try:
        with client.connect(installation.settings.redis_url) as redis:
            return tuple(sorted(registry.alive(redis)))
    except RedisError:
        return ()


def _find(db: Database, name: str) -> ModelFileView:
    entry = catalogue.find(name)
    for file in reading.list_files(db):
        if name in (file.name, file.name.removesuffix(".gguf")):
            return file
        if entry and (file.repo, file.path) == (entry.repo, entry.file):
            return file
    raise DeployError(f"No model here is called {name}: `inglenook model list` shows the names.")


def _refuse_unless(file: ModelFileView, *states: str) -> None:
    if file.state == "listed":
        names = ", ".join(str(one.get("path")) for one in (file.facts.get("files") or ())[:20])
        raise DeployError(f"Say which file with --file: {names}." if names else f"{file.repo} has no such GGUF file.")
    if file.state not in states:
        raise DeployError(model_words.progress(file))
