"""llama.cpp in .venv: takes the plan's builds in turn until one is there and finds what it was built for.

For each build: a wheel that was kept, else a ready-made one from an index of pip's settings, else it is compiled. After
the installation a child process tries it. `make run` decides anew when choice, card or tools have changed (a file in
.venv knows them); else there is nothing to do, and the reason why a card is not used is said again. The tests take
whatever build is there: they hide the card (tests/conftest.py).
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from deploy.setup.build_folder import build_folder, source_in
from deploy.setup.cuda_toolchain import RUNTIME, toolchain_from_pypi
from deploy.setup.cxx_compiler import check_compiler
from deploy.setup.failed_builds import forget_failure, remember_failure, why_failed
from deploy.setup.llama_wheel import (
    LABEL,
    WantedBuild,
    backend_of_files,
    compile_wheel,
    kept_wheel,
    ready_made_wheel,
    wheel_of_pip,
)
from deploy.setup.machine import Facts, facts
from deploy.setup.old_builds import mark_as_used, remove_old_builds
from deploy.setup.plan import Plan, plan_for
from deploy.setup.venv import BrokenOff, SetupError, pinned, pip, say, share, site_packages, venv_python, write_log

NAMES = {"cuda": "CUDA", "vulkan": "Vulkan", "metal": "Metal", "cpu": "the processor"}
HOW_LONG = {
    "cuda": "10 minutes on a fast machine, an hour on a slow one",
    "vulkan": "5 to 25 minutes",
    "metal": "3 to 10 minutes",
    "cpu": "3 to 10 minutes",
}
GIB_OF_NVCC = 3
TRIAL = "import llama_cpp, sys; sys.exit(0 if llama_cpp.llama_supports_gpu_offload() else 3)"


class NoCard(SetupError):
    """The build works and finds no card: compiling it again would change nothing."""


class BuildFault(SetupError):
    """It does not compile, or does not load: another try would lose the same time again."""


def ensure_llama(choice: str) -> None:
    """Install the llama.cpp that was asked for, or the best that can be had. Raises SetupError."""
    here = facts()
    plan = plan_for(choice, here)
    mark = _mark(choice, here, plan)
    decided = _read_decision()
    if decided.get("mark") == mark and installed_build():
        for note in str(decided.get("notes", "")).splitlines():
            say(note)
        return
    if choice == "auto" and here.fault and installed_build():  # mostly for one start: until the machine is restarted
        say(f"{here.fault}. The llama.cpp that is there stays.")
        return
    _introduce(here, plan)
    notes = _try_all(choice, plan)
    if here.cards and all(card.vendor == "intel" for card in here.cards):
        notes = []  # mostly a part of the processor: once is enough
    _decision_file().parent.mkdir(parents=True, exist_ok=True)
    _decision_file().write_text(json.dumps({"mark": mark, "notes": "\n".join(notes)}), encoding="utf-8")


def ensure_any_llama() -> None:
    """Install a llama.cpp for the processor unless one is there, whatever it is for."""
    if not installed_build():
        _try_all("cpu", plan_for("cpu", facts()))


def _mark(choice: str, here: Facts, plan: Plan) -> str:
    keys = [build.key for build in plan.builds]
    return json.dumps([choice, keys, plan.notes, [asdict(card) for card in here.cards]])


def _decision_file() -> Path:
    return share() / "llama.json"


def _read_decision() -> dict[str, object]:
    try:
        read = json.loads(_decision_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _introduce(here: Facts, plan: Plan) -> None:
    """What was found."""
    for card in here.cards:
        say(f"Found {card}.")
    if not here.cards and not here.fault:
        say("Found no graphics card: the processor computes.")
    for note in plan.notes:
        say(note)


def _try_all(choice: str, plan: Plan) -> list[str]:
    """Install the first build that works; returns what has to be said at every start. Raises SetupError."""
    notes = list(plan.notes)
    for build, following in zip(plan.builds, [*plan.builds[1:], None], strict=True):
        why = why_failed(build) if choice == "auto" and following and not is_at_hand(build) else ""
        try:
            if why and following:
                notes.append(_not_tried(build, why, following))
            else:
                install(build)
                say(f"llama.cpp computes with {_name(build)}.")
                return _to_repeat(notes, choice, build)
        except BrokenOff:
            raise
        except SetupError as fault:
            if isinstance(fault, BuildFault):
                remember_failure(build, _first_line(fault))
            if following is None:
                raise
            notes.append(_failure(build, fault, following))
        for note in plan.later if build is plan.builds[0] else []:
            say(note)
            notes.append(note)
    return notes


def _not_tried(build: WantedBuild, why: str, following: WantedBuild) -> str:
    """Say that a build is not tried, because it has failed before; returns the sentence."""
    sentence = (
        f"{_name(build)} has failed here before ({why}) and is not tried: `make run GPU={build.backend}` tries it "
        f"again. Next: {_name(following)}."
    )
    say(sentence)
    return sentence


def _failure(build: WantedBuild, fault: SetupError, following: WantedBuild) -> str:
    """Say that a build failed and what comes next; returns the sentence."""
    _, _, rest = str(fault).partition("\n")
    sentence = (
        f"{_name(build)} could not be had: {_first_line(fault)}. `make run GPU={build.backend}` tries it again. "
        f"Next: {_name(following)}."
    )
    say(sentence + (f" The words of the failure:\n{rest}" if rest else ""))
    write_log(f"{fault}\n")
    return sentence


def _first_line(fault: SetupError) -> str:
    return str(fault).partition("\n")[0].rstrip(".:")


def _to_repeat(notes: list[str], choice: str, build: WantedBuild) -> list[str]:
    return [*notes, "The processor computes."] if choice == "auto" and build.backend == "cpu" and notes else []


def _name(build: WantedBuild) -> str:
    with_compiler = f" with {build.compiler}" if build.compiler else ""
    architecture = f" for {build.architecture}" if build.backend == "cuda" else ""
    return f"{NAMES[build.backend]}{architecture}{with_compiler}"


def is_installed(build: WantedBuild) -> bool:
    """Whether this build is in .venv."""
    plain = {"backend": build.backend} if build.backend in ("cpu", "metal") else None  # from before there were labels
    return installed_build() in (build.label(), plain)


def is_at_hand(build: WantedBuild) -> bool:
    """Whether nothing has to be compiled for this build."""
    return is_installed(build) or kept_wheel(build) is not None


def install(build: WantedBuild) -> None:
    """Install this build, unless it is there, and try it. Raises SetupError."""
    if is_installed(build):
        return
    wheel = kept_wheel(build) or wheel_of_pip(build)
    if wheel and _kept_works(wheel, build):
        return
    with tempfile.TemporaryDirectory() as folder:
        wheel = ready_made_wheel(build, Path(folder))
        if wheel and _ready_made_works(wheel, build):
            return
    _install_wheel(compile_build(build), build)
    forget_failure(build)
    remove_old_builds(build)


def _kept_works(wheel: Path, build: WantedBuild) -> bool:
    """Whether a wheel of an earlier build, perhaps of another machine's, works here. Raises NoCard."""
    say(f"Taking the llama.cpp for {_name(build)} that was built before ({wheel.parent}) ...")
    try:
        _install_wheel(wheel, build)
    except NoCard:
        raise
    except SetupError as fault:
        say(f"It does not work here and is built anew: {fault}")
        return False
    mark_as_used(build)
    return True


def _ready_made_works(wheel: Path, build: WantedBuild) -> bool:
    say(f"Found a ready-made wheel with {NAMES[build.backend]}: {wheel.name}")
    try:
        _install_wheel(wheel, build)
    except SetupError as fault:
        say(f"The ready-made wheel does not work here: {fault}")
        return False
    return True


def compile_build(build: WantedBuild) -> Path:
    """Compile llama.cpp and keep the wheel. Raises SetupError."""
    check_compiler()
    say(f"Compiling llama.cpp for {_name(build)}, once: {HOW_LONG[build.backend]} ...")
    with build_folder(build) as folder:
        kept = kept_wheel(build)  # by another clone, meanwhile
        if kept:
            return kept
        try:
            environ, source = toolchain(build, folder), source_in(folder)
        except SetupError as fault:
            raise SetupError(f"llama.cpp could not be compiled, {fault}") from None
        try:
            return compile_wheel(build, source, f"compiling for {NAMES[build.backend]}", environ)
        except BrokenOff:
            raise
        except SetupError as fault:
            raise BuildFault(f"llama.cpp could not be compiled, {fault}") from None


def toolchain(build: WantedBuild, folder: Path) -> Mapping[str, str]:
    """The environment in which this build is compiled. Raises SetupError."""
    if build.backend != "cuda":
        return {}
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    jobs = str(max(1, min(os.cpu_count() or 1, gib // GIB_OF_NVCC)))
    environ = {"CMAKE_BUILD_PARALLEL_LEVEL": os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", jobs)}
    compiler = toolchain_from_pypi(folder) if build.is_from_pypi else {"CUDACXX": shutil.which("nvcc") or "nvcc"}
    return {**environ, **compiler}


def _install_wheel(wheel: Path, build: WantedBuild) -> None:
    """Put the wheel into .venv, with the libraries of CUDA where it was linked with PyPI's, and try it."""
    if build.is_from_pypi:
        say("Installing the libraries of CUDA: 450 MB to fetch, 730 MB on disk ...")
        pip("install", *RUNTIME)
    again = ("--force-reinstall", "--no-deps") if installed_build() else ()  # the first time with what it depends on
    pip("install", *again, str(wheel))
    try:
        try_llama(build)
    except SetupError as fault:
        pip("uninstall", "--yes", "llama-cpp-python")
        if not isinstance(fault, NoCard) and wheel == kept_wheel(build):
            wheel.unlink()
        raise


def try_llama(build: WantedBuild) -> None:
    """Load the library in a child process, and see that it finds a card if it is for one. Raises SetupError."""
    command = [str(venv_python()), "-c", TRIAL]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=300, check=False)
    except subprocess.TimeoutExpired:
        raise BuildFault("the new llama.cpp did not answer within five minutes.") from None
    write_log(done.stdout + done.stderr)
    if done.returncode == 0 or (done.returncode == 3 and build.backend in ("cpu", "metal")):
        return
    words = [line for line in done.stderr.splitlines() if line.strip()]
    reason = f" ({words[-1].strip()[:200]})" if words else ""
    if done.returncode == 3:
        raise NoCard(f"the new llama.cpp works and finds no card{reason}.")
    raise BuildFault(f"the new llama.cpp cannot be loaded{reason}.")


def installed_build() -> dict[str, str]:
    """The label of the llama-cpp-python in .venv; empty where there is none of the pinned version."""
    version = pinned("llama-cpp-python").split("==")[1]
    for folder in site_packages().glob(f"llama_cpp_python-{version}.dist-info"):
        label = folder / LABEL
        if label.is_file():
            read = json.loads(label.read_text(encoding="utf-8"))
            return {str(key): str(value) for key, value in read.items()}
        libraries = [str(path.relative_to(site_packages())) for path in site_packages().glob("llama_cpp/lib/*")]
        return {"backend": backend_of_files(libraries)}
    return {}
