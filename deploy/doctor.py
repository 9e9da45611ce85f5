"""What `inglenook doctor` looks at, and in which order; each finding is a line that says what to do.

What it does: settings first (a wrong one is named and left out for the rest), then data folder, clock, Redis, database,
port, and what the worker's own check-up says of model, card and memory. Where a room is not installed (the web image
has no engine) the line says where to ask. What it refuses to know: how things look inside (store/diagnostics.py,
deploy/preflight.py, worker/diagnose.py find out); it changes nothing.
When extending: one function that yields lines, named in `examine`.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy import rooms
from deploy.cli.place import CHECKOUT, Place, find_place
from deploy.doctor_line import FAIL, OK, WARN, Line
from deploy.doctor_stores import look_at_stores
from deploy.preflight import Disk, Fault, check_folder, check_model, check_port
from store.settings import PREFIX, SettingsError, load_settings

__all__ = ["FAIL", "OK", "WARN", "Line", "examine"]

TRIED_BYTES = 16_000_000
SLOW_MB_PER_S = 20.0
LITTLE_MB = 2_000
TRIAL_LIMIT_S = 900


def examine(given: Mapping[str, str] = os.environ, trial: bool = True) -> Iterator[Line]:
    """Every finding, as it is made."""
    environ, wrong = _sound(given)
    yield from wrong
    place = find_place(environ)
    if not wrong:
        n_set = sum(name.upper().startswith(PREFIX) for name in environ)
        yield Line("settings", OK, f"{n_set} given, the others are the README's; data in {place.settings.data_dir}")
    disk, line = _folder(place)
    yield line
    yield from look_at_stores(place, disk)
    yield from _port(place)
    yield from _model(place, trial)


def _sound(given: Mapping[str, str]) -> tuple[dict[str, str], list[Line]]:
    """The variables that are right, and a line for each of the others."""
    environ, wrong = dict(given), []
    for name in given:
        if not name.upper().startswith(PREFIX):
            continue
        try:
            load_settings({name: given[name]})
        except (SettingsError, OSError) as error:
            wrong.append(Line("settings", FAIL, str(error)))
            del environ[name]
    return environ, wrong


def _folder(place: Place) -> tuple[Disk | None, Line]:
    folder = place.settings.data_dir
    try:
        disk = check_folder(folder, TRIED_BYTES)
    except Fault as fault:
        return None, Line("disk", FAIL, str(fault))
    words = f"{disk.free_mb / 1000:.1f} GB free, {disk.mb_per_s:.0f} MB/s written for good"
    if disk.free_mb < LITTLE_MB + place.settings.disk_cache_mb:
        advice = f"Make room, or set INGLENOOK_DISK_CACHE_MB below {place.settings.disk_cache_mb}."
        return disk, Line("disk", WARN, f"{words}; that is little beside the KV blocks", advice)
    if disk.mb_per_s < SLOW_MB_PER_S:
        return disk, Line("disk", WARN, words, "Waking a chat will be slow: put INGLENOOK_DATA_DIR on a faster disk.")
    return disk, Line("disk", OK, words)


def _port(place: Place) -> Iterator[Line]:
    settings = place.settings
    if importlib.util.find_spec("web") is None:
        return
    if (place.is_running or not place.has_own_redis) and rooms.web_answers(settings):
        yield Line("port", OK, f"{settings.port}: the web server answers")
    elif place.is_running:
        log = settings.data_dir / "logs" / "web.log"
        yield Line(
            "port", FAIL, f"{settings.port}: this house runs, its web server does not answer", f"Look into {log}."
        )
    else:
        try:
            check_port(settings.host, settings.port)
            yield Line("port", OK, f"{settings.port} on {settings.host} is free")
        except Fault as fault:
            yield Line("port", FAIL, str(fault))


def _model(place: Place, trial: bool) -> Iterator[Line]:
    if importlib.util.find_spec("worker") is None or importlib.util.find_spec("engine") is None:
        yield Line("model", OK, "looked at in the worker container: `docker compose exec worker inglenook doctor`")
        return
    settings = place.settings
    try:
        if settings.backend == "llama" and settings.model:
            check_model(Path(settings.model))
    except Fault as fault:
        yield Line("model", FAIL, str(fault))
        return
    yield from _checkup(place, trial and not rooms.worker_answers(settings))


def _checkup(place: Place, trial: bool) -> Iterator[Line]:
    """The worker's own findings, from a program of its own: a model may kill the process that loads it."""
    command = [sys.executable, "-m", "worker.diagnose", *([] if trial else ["--no-trial"])]
    try:
        done = subprocess.run(
            command, env=place.environ, cwd=CHECKOUT, capture_output=True, text=True, timeout=TRIAL_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        yield Line("model", FAIL, f"no answer within {TRIAL_LIMIT_S} s", "Try a smaller model.")
        return
    yield from (Line(**json.loads(said)) for said in done.stdout.splitlines())
    if done.returncode != 0:
        tail = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        words = f"the check-up ended with status {done.returncode} ({tail})"
        yield Line("model", FAIL, words, "Choose another model, or install anew: `make clean run`.")
