"""Which cards there are: a program `nvidia-smi` of ours answers, folders of ours are the kernel's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.model import cards as module
from engine.model.cards import Card, kernel_cards, machine, nvidia_cards
from tests.harness.nvidia import GTX_1060, RTX_3060, nvidia_smi, script


def test_cards_with_their_drivers_and_compute_capabilities(tmp_path):
    found, fault = nvidia_cards(str(nvidia_smi(tmp_path, f"{RTX_3060}\n{GTX_1060}")))
    assert [card.compute for card in found] == ["8.6", "6.1"]
    assert found[0] == Card("NVIDIA GeForce RTX 3060", 12288, 11800, "nvidia", "580.95.05", "8.6")
    assert str(found[1]) == "NVIDIA GeForce GTX 1060 6GB, driver 580.95.05, compute capability 6.1"
    assert fault == ""


def test_no_driver_is_no_fault(tmp_path):
    assert nvidia_cards(str(tmp_path / "nvidia-smi")) == ((), "")


def test_an_old_driver_does_not_know_the_compute_capability(tmp_path):
    program = script(
        tmp_path / "nvidia-smi",
        """case "$*" in
        *compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2 ;;
        *) echo 'GeForce GTX 970, 4043, 3900, 390.157' ;;
        esac""",
    )
    assert nvidia_cards(str(program)) == ((Card("GeForce GTX 970", 4043, 3900, "nvidia", "390.157", ""),), "")


@pytest.mark.parametrize(
    ("answers", "status", "fault"),
    [
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
            9,
            "nvidia-smi failed: NVIDIA",
        ),
        ("Failed to initialize NVML: Driver/library version mismatch", 18, "Driver/library version mismatch"),
        ("No devices were found", 0, "cannot be understood: 'No devices were found'"),
        ("NVIDIA GeForce RTX 3060, [N/A], [N/A], 580.95.05, 8.6", 0, "cannot be understood"),
        ("\x07\x1b[31m,,,,,", 0, "cannot be understood"),
        ("", 0, "nvidia-smi names no card"),
    ],
)
def test_a_program_that_says_something_else(tmp_path, answers, status, fault):
    found, said = nvidia_cards(str(nvidia_smi(tmp_path, answers, status)))
    assert found == ()
    assert fault in said


def test_bytes_that_are_no_text(tmp_path):
    program = script(tmp_path / "nvidia-smi", "printf '\\377\\376, 1, 1, 580, 8.6'")
    assert nvidia_cards(str(program))[0] == ()


def test_a_program_that_hangs(tmp_path):
    found, said = nvidia_cards(str(script(tmp_path / "nvidia-smi", "sleep 20 & wait")), timeout_s=0.2)
    assert (found, said) == ((), "nvidia-smi does not answer within 0 s")


def test_a_program_that_cannot_be_run(tmp_path):
    script(tmp_path / "nvidia-smi", "").write_bytes(b"\x7fELF rubbish")
    found, said = nvidia_cards(str(tmp_path / "nvidia-smi"))
    assert found == ()
    assert said.startswith("nvidia-smi ")


def device(drm, name, vendor, number="0x73bf", **files):
    folder = drm / name / "device"
    folder.mkdir(parents=True)
    for file, text in {"vendor": vendor, "device": number, **files}.items():
        (folder / file).write_text(f"{text}\n")


def test_what_the_kernel_knows(tmp_path):
    device(tmp_path, "card0", "0x8086", "0x9a49")
    device(tmp_path, "card1", "0x1002", mem_info_vram_total=8 << 30, mem_info_vram_used=1 << 30)
    device(tmp_path, "card2", "0x1a03")  # the console of a server
    device(tmp_path, "card1-HDMI-A-1", "0x1002")
    assert kernel_cards(tmp_path) == (
        Card("AMD card 0x73bf", 8192, 7168, "amd"),
        Card("Intel card 0x9a49", vendor="intel"),
    )
    assert kernel_cards(tmp_path / "none") == ()


def test_a_laptop_names_its_nvidia_card_once(tmp_path):
    device(tmp_path / "drm", "card0", "0x8086")
    device(tmp_path / "drm", "card1", "0x10de", "0x2520")
    program = nvidia_smi(tmp_path, RTX_3060)
    assert [card.name[:6] for card in machine(str(program), tmp_path / "drm").cards] == ["NVIDIA", "Intel "]
    program.unlink()
    without = machine(str(program), tmp_path / "drm").cards
    assert [(card.name, card.driver) for card in without] == [("NVIDIA card 0x2520", ""), ("Intel card 0x73bf", "")]


def test_it_runs_before_anything_is_installed(tmp_path):
    nvidia_smi(tmp_path, RTX_3060)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    file = str(Path(module.__file__))
    done = subprocess.run([sys.executable, "-S", "-E", file], env=environ, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["cards"][0]["compute"] == "8.6"
