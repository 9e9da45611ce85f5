"""`python -m tests.vulkan` (`make test-vulkan`): the engine's tests, and two browsers, with every layer on a device.

The device is Mesa's llvmpipe: a Vulkan device in software, with buffers of its own. It shows what is wrong on a card,
not how fast a card is. Fails if a test fails or is skipped, and if a part had no model wholly on the device. At the end
stands what differs from the CPU (differences.py). `--only PART` runs one part.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deploy.junit_summary import count
from tests.vulkan import build
from tests.vulkan.layers import FILE, SAID, how_much

ROOT = Path(__file__).resolve().parents[2]
ENGINE = "tests/engine/test_{}.py"
PARTS = {
    "contract": ["backend_contract"],
    "chains": ["chains", "tiny_models"],
    "blocks": ["block_store", "buffers", "read_ahead"],
    "SmolLM2": ["smollm2", "llama_sampler"],
    "Gemma": ["gemma"],
}
BROWSERS = "two browsers"
TIMEOUT_S = 3600


def main():
    """Run the parts, and say what came out; 0 if all of it is right."""
    parser = argparse.ArgumentParser(prog="python -m tests.vulkan", description=__doc__)
    parser.add_argument("--only", action="append", choices=[*PARTS, BROWSERS, "differences"])
    options = parser.parse_args()
    try:
        environ = build.environment(build.build())
    except build.CannotBuild as fault:
        build.say(str(fault))
        return 1
    wanted = options.only or [*PARTS, BROWSERS, "differences"]
    with tempfile.TemporaryDirectory(prefix="inglenook-vulkan-") as folder:
        bad = [name for name in wanted if not run_part(name, environ, Path(folder) / name.replace(" ", "-"))]
    build.say(f"wrong: {', '.join(bad)}" if bad else "everything is right")
    return 1 if bad else 0


def run_part(name, environ, folder):
    """Run one part and print its line; whether it is right."""
    folder.mkdir()
    if name == "differences":
        done = subprocess.run([sys.executable, "-m", "tests.vulkan.differences"], cwd=ROOT, env=environ, check=False)
        return done.returncode == 0
    began = time.monotonic()
    run_tests(name, environ, folder)
    passed, bad = count(folder / "report.xml")
    layers = said_by_workers(folder) if name == BROWSERS else json.loads((folder / "layers").read_text() or "{}")
    for line in bad:
        build.say(line)
    if not layers["wholly"]:
        build.say(f"{name}: no model had its layers on the device")
    build.say(
        f"{name}: {passed} passed, {len(bad)} failed or skipped, {time.monotonic() - began:.0f} s; "
        f"models wholly on the device: {layers['wholly']}, partly: {layers['partly']}, not: {layers['not']}"
    )
    return bool(passed and not bad and layers["wholly"])


def run_tests(name, environ, folder):
    """pytest, with its report and the counts of layers in `folder`; its words are shown when something is wrong."""
    (folder / "layers").touch()
    files = ["tests/vulkan/two_on_device.py"] if name == BROWSERS else map(ENGINE.format, PARTS[name])
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "tests.vulkan.layers", "-p", "no:cacheprovider",
        "-o", "tmp_path_retention_policy=all",
        "--basetemp", folder / "tmp", "--junit-xml", folder / "report.xml", "--timeout", TIMEOUT_S, *files,
    ]  # fmt: skip
    done = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env={**environ, FILE: str(folder / "layers")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.stdout.write(done.stdout[-6000:])


def said_by_workers(folder):
    """The same counts, from the logs of the workers of a stack."""
    counts = {"wholly": 0, "partly": 0, "not": 0}
    for log in (folder / "tmp").rglob("logs/*.log"):
        for said in SAID.finditer(log.read_text(errors="replace")):
            counts[how_much(said)] += 1
    return counts


if __name__ == "__main__":
    sys.exit(main())
