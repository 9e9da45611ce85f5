"""The doctor's line about the card: backend, card, driver, and what to do where it is not used."""

import pytest

from engine.model.cards import Card, Machine
from engine.model.hardware import demo_model
from engine.model.info import read_model_info
from engine.model.llama_build import LlamaBuild
from engine.model.memory_plan import GIB
from engine.model.plan_search import PlanRequest, plan_memory
from store.settings import Settings
from worker.diagnose import card_finding, memory_finding

RTX = Card("NVIDIA GeForce RTX 3060", 12288, 11800, "nvidia", "580.95.05", "8.6")
AMD = Card("AMD card 0x73bf", 8192, 8000, "amd")
INTEL = Card("Intel card 0x9a49", vendor="intel")
CPU, CUDA, VULKAN = LlamaBuild("1", "cpu"), LlamaBuild("1", "cuda", "sm_86"), LlamaBuild("1", "vulkan")


def here(*cards, fault=""):
    return Machine("Linux", "x86_64", cards, fault)


RTX_FOUND, AMD_FOUND = ("NVIDIA GeForce RTX 3060", 11 * GIB, 12 * GIB), ("AMD Radeon RX 6800 (RADV)", 7 * GIB, 8 * GIB)


@pytest.mark.parametrize(
    ("build", "machine", "found", "vram_gb", "state", "words"),
    [
        (CUDA, here(RTX), RTX_FOUND, 6, "ok", "CUDA (sm_86): NVIDIA GeForce RTX 3060, driver 580.95.05, compute capa"),
        (CUDA, here(RTX), RTX_FOUND, 0, "ok", "11.0 of 12.0 GiB free"),
        (CUDA, here(RTX), RTX_FOUND, 24, "warn", "has 12.0 GiB, INGLENOOK_VRAM_GB=24 is more"),
        (VULKAN, here(AMD), AMD_FOUND, 6, "ok", "Vulkan: AMD Radeon RX 6800 (RADV), 7.0 of 8.0 GiB free"),
        (VULKAN, here(), AMD_FOUND, 6, "ok", "Vulkan: AMD Radeon RX 6800 (RADV)"),
        (CPU, here(RTX), None, 6, "warn", "is not used: this llama.cpp was built for the processor"),
        (CPU, here(AMD), None, 6, "warn", "AMD card 0x73bf is not used"),
        (CPU, here(INTEL), None, 6, "ok", "Intel card 0x9a49 is not used"),
        (CPU, here(), None, 6, "ok", "no card was found, the processor computes"),
        (CPU, here(fault="nvidia-smi does not answer within 20 s"), None, 6, "warn", "nvidia-smi does not answer"),
        (CUDA, here(), None, 6, "warn", "built for CUDA (sm_86) and finds no card (none is known)"),
        (CUDA, here(RTX), None, 6, "warn", "finds no card (NVIDIA GeForce RTX 3060, driver 580.95.05"),
    ],
)
def test_the_line(build, machine, found, vram_gb, state, words):
    finding = card_finding(build, machine, found, vram_gb)
    assert (finding.state, words in finding.words) == (state, True), finding
    assert bool(finding.advice) == (state != "ok")


def test_a_card_that_is_too_small_for_the_model_is_told():
    plan = plan_memory(read_model_info(demo_model()), 4 * GIB, PlanRequest(gpu_layers=0))
    finding = memory_finding(Settings(), plan, fresh=False, has_card=True)
    assert (finding.state, "does not fit into the card's memory" in finding.words) == ("warn", True), finding
    assert "INGLENOOK_GPU_LAYERS=0" in finding.advice
    assert memory_finding(Settings(gpu_layers=0), plan, fresh=False, has_card=True).state == "ok"
    assert memory_finding(Settings(), plan, fresh=False, has_card=False).state == "ok"
