"""Doctor: the checks of `inglenook doctor`, in their order; each finding says what to do.

What it does: checks the settings first (a wrong one is reported and left out for the rest), then data folder, clock,
Redis, database and port, and asks the worker's own diagnosis about model, GPU and memory. Where a room is not installed
(the web image has no engine) the finding says where to ask. It changes nothing.
What it refuses to know: how the facts are found (store/diagnostics.py, deploy/preflight.py, worker/diagnose.py).
To add a check of the doctor: the fact in one of those three; a function here (of clock, Redis or database: in
doctor_stores.py) that yields DoctorFinding, called in `examine`; the table in docs/operators.md ("Is it well?"); a case
in tests/deploy/test_doctor.py. A check of model or GPU: worker/diagnose.py alone, whose lines are passed through.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from deploy import room_processes
from deploy.doctor_finding import FAIL, OK, WARN, DoctorFinding
from deploy.doctor_stores import examine_stores
from deploy.installation import CHECKOUT, MODEL, Installation, find_installation, open_database
from deploy.preflight import DeployError, Disk, check_folder, check_model, check_port
from store.db import DatabaseTrouble
from store.error_texts import english
from store.settings import AUTO, PREFIX, Settings, SettingsError, load_settings
from store.shelf import choices
from store.shelf.beat import free_bytes, read_beat
from store.shelf.views import ChoiceView

__all__ = ["FAIL", "OK", "WARN", "DoctorFinding", "examine"]

DISK_TEST_BYTES = 16_000_000
SLOW_MB_PER_S = 20.0
LOW_DISK_MB = 2_000
TRIAL_LIMIT_S = 900
FIRST_WORKER = "gpu0"


def examine(given: Mapping[str, str] = os.environ, trial: bool = True) -> Iterator[DoctorFinding]:
    """All findings, one after the other; `trial`: also load the model for a trial."""
    environ, wrong = _valid_settings(given)
    yield from wrong
    installation = find_installation(environ)
    if not wrong:
        n_set = sum(name.upper().startswith(PREFIX) for name in environ)
        yield DoctorFinding(
            "settings", OK, f"{n_set} given, the others have their defaults; data in {installation.settings.data_dir}"
        )
    disk, finding = _data_folder(installation)
    yield finding
    yield from examine_stores(installation, disk)
    yield from _port(installation)
    yield from _downloads(installation)
    yield from _model(installation, trial)


def _valid_settings(given: Mapping[str, str]) -> tuple[dict[str, str], list[DoctorFinding]]:
    """The valid variables, and a finding for each invalid one."""
    environ, wrong = dict(given), []
    for name in given:
        if not name.upper().startswith(PREFIX):
            continue
        try:
            load_settings({name: given[name]})
        except (SettingsError, OSError) as error:
            wrong.append(DoctorFinding("settings", FAIL, str(error)))
            del environ[name]
    return environ, wrong


def _data_folder(installation: Installation) -> tuple[Disk | None, DoctorFinding]:
    folder = installation.settings.data_dir
    try:
        disk = check_folder(folder, DISK_TEST_BYTES)
    except DeployError as fault:
        return None, DoctorFinding("disk", FAIL, str(fault))
    return disk, disk_finding(disk, installation.settings.disk_cache_mb)


def disk_finding(disk: Disk, disk_cache_mb: int) -> DoctorFinding:
    """Whether there is room beside the KV blocks (-1: they take a share of it), and whether writing is fast enough."""
    words = f"{disk.free_mb / 1000:.1f} GB free, {disk.mb_per_s:.0f} MB/s written for good"
    if disk.free_mb < LOW_DISK_MB + max(0, disk_cache_mb):
        advice = "Make room: the KV blocks take a quarter of what is free."
        if disk_cache_mb >= 0:
            advice = f"Make room, or set INGLENOOK_DISK_CACHE_MB below {disk_cache_mb}."
        return DoctorFinding("disk", WARN, f"{words}; that is little beside the KV blocks", advice)
    if disk.mb_per_s < SLOW_MB_PER_S:
        return DoctorFinding(
            "disk", WARN, words, "Waking a chat will be slow: put INGLENOOK_DATA_DIR on a faster disk."
        )
    return DoctorFinding("disk", OK, words)


def _port(installation: Installation) -> Iterator[DoctorFinding]:
    settings = installation.settings
    if importlib.util.find_spec("web") is None:
        return
    if (installation.is_running or not installation.manages_redis) and room_processes.web_answers(settings):
        yield DoctorFinding("port", OK, f"{settings.port}: the web server answers")
    elif installation.is_running:
        log = settings.data_dir / "logs" / "web.log"
        yield DoctorFinding(
            "port", FAIL, f"{settings.port}: inglenook runs, its web server does not answer", f"Look into {log}."
        )
    else:
        try:
            check_port(settings.host, settings.port)
            yield DoctorFinding("port", OK, f"{settings.port} on {settings.host} is free")
        except DeployError as fault:
            yield DoctorFinding("port", FAIL, str(fault))


def _downloads(installation: Installation) -> Iterator[DoctorFinding]:
    """Whether models can be fetched, and how much room there is for them."""
    settings, folder = installation.settings, installation.settings.models_dir
    should_run = installation.is_running or not installation.manages_redis
    if should_run and not room_processes.downloader_answers(settings):
        advice = "Look into its log (data/logs/downloader.log, `docker compose logs downloader`)."
        yield DoctorFinding("downloads", WARN, "the downloader gives no sign of life: no model can be fetched", advice)
    elif not folder.is_dir():
        yield DoctorFinding("downloads", OK, f"there is no folder {folder} here yet, the first model makes it")
    else:
        beat = read_beat(settings.data_dir)  # in containers only the downloader sees that disk
        free = beat.free if beat and beat.free is not None else free_bytes(folder) or 0
        yield DoctorFinding("downloads", OK, f"models lie in {folder}, {free / 1e9:.1f} GB free")


def _model(installation: Installation, trial: bool) -> Iterator[DoctorFinding]:
    if importlib.util.find_spec("worker") is None or importlib.util.find_spec("engine") is None:
        yield DoctorFinding(
            "model", OK, "looked at in the worker container: `docker compose exec worker inglenook doctor`"
        )
        return
    settings, chosen = installation.settings, chosen_model(installation)
    yield from choice_findings(settings, chosen)
    path = settings.models_dir / chosen.name if chosen and chosen.name else Path(settings.model)
    try:
        if settings.backend == "llama" and path != Path():
            check_model(path)
    except DeployError as fault:
        yield DoctorFinding("model", FAIL, str(fault))
        return
    if chosen and chosen.name:
        installation = replace(installation, environ={**installation.environ, MODEL: str(path)})
    yield from _worker_diagnosis(installation, trial and not room_processes.worker_answers(settings))


def chosen_model(installation: Installation) -> ChoiceView | None:
    """The model that was chosen for the worker of these settings; None: none was, or the database cannot tell."""
    worker = installation.settings.worker_name
    try:
        with open_database(installation) as db:
            return choices.choice_of(db, FIRST_WORKER if worker == AUTO else worker)
    except (DeployError, DatabaseTrouble):
        return None


def choice_findings(settings: Settings, chosen: ChoiceView | None) -> Iterator[DoctorFinding]:
    """Which model the worker runs, if one was chosen, and why it is not another."""
    if chosen is None:
        return
    default = f"{Path(settings.model).name} (INGLENOOK_MODEL)" if settings.model else "the demo model"
    name = chosen.name or default
    if failure := chosen.failure:
        words = f"{name} answers instead of the one that was chosen: {english(failure.reason, failure.values)}"
        yield DoctorFinding("chosen model", WARN, words, "Choose another one on the page Models.")
    elif chosen.name:
        yield DoctorFinding("chosen model", OK, f"{name}, chosen on the page Models; without that {default}")


def _worker_diagnosis(installation: Installation, trial: bool) -> Iterator[DoctorFinding]:
    """The worker's own findings, from a child process: a model may crash the process that loads it."""
    command = [sys.executable, "-m", "worker.diagnose", *([] if trial else ["--no-trial"])]
    try:
        done = subprocess.run(
            command,
            env=installation.environ,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=TRIAL_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield DoctorFinding("model", FAIL, f"no answer within {TRIAL_LIMIT_S} s", "Try a smaller model.")
        return
    yield from (DoctorFinding(**json.loads(line)) for line in done.stdout.splitlines())
    if done.returncode != 0:
        tail = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        words = f"the check-up ended with status {done.returncode} ({tail})"
        yield DoctorFinding("model", FAIL, words, "Choose another model, or install anew: `make clean run`.")
