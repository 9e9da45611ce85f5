"""`make audit`: the packages in .venv against the public advisories of security holes, with pip-audit.

What it does: keeps pip-audit in an environment of its own (.venv/audit), so nothing that runs depends on it; prints a
line for each hole that is known, with the version that has it mended. It needs the internet, and is no part of .ci/run.
Exit status 0: none is known; 1: there are some; 2: it could not be found out.
"""

import json
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PIP_AUDIT = "pip-audit~=2.10"
TOOL = Path(sys.prefix) / "audit"
NONE_KNOWN, SOME, NOT_KNOWN = 0, 1, 2


def main() -> int:
    """Ask, and print what is known."""
    try:
        install()
        lines = holes(ask(Path(sysconfig.get_paths()["purelib"])))
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        words = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        print(f"inglenook: It could not be found out ({words[-1] if words else error}): is the internet there?")
        return NOT_KNOWN
    print("\n".join(lines) or "No package that is installed has a known hole.")
    return SOME if lines else NONE_KNOWN


def install() -> None:
    """Make the tool's environment on first use."""
    python = TOOL / "bin" / "python"
    if not python.exists():
        _call([sys.executable, "-m", "venv", str(TOOL)])
    if not (TOOL / "bin" / "pip-audit").exists():
        _call([str(python), "-m", "pip", "install", "--quiet", PIP_AUDIT])


def ask(packages: Path) -> str:
    """pip-audit's report on a folder of packages, as JSON. Raises an error where it has written none."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [str(TOOL / "bin" / "pip-audit"), "--path", str(packages), "--format", "json"]
        done = subprocess.run(
            [*command, "--output", str(report), "--progress-spinner", "off"],
            capture_output=True,
            text=True,
            check=False,
        )
        if not report.exists():
            raise subprocess.CalledProcessError(done.returncode, command, stderr=done.stderr)
        return report.read_text(encoding="utf-8")


def holes(report: str) -> list[str]:
    """A line for each hole in a report. Raises ValueError for one that cannot be read."""
    try:
        found = [(package, hole) for package in json.loads(report)["dependencies"] for hole in package.get("vulns", ())]
        return [
            f"{package['name']} {package['version']}: {hole['id']}, "
            + (f"mended in {' or '.join(hole['fix_versions'])}" if hole["fix_versions"] else "not mended yet")
            for package, hole in found
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"pip-audit said something else than expected: {error!r}") from None


def _call(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main())
