"""Byte budgets: shares of what is free, with floors and ceilings, and never all of it."""

from dataclasses import replace

import pytest
from test_memory_plan import HYBRID_9B, LLAMA_3B, MISTRAL_7B

from engine.model.budgets import (
    DISK_CEILING,
    DISK_FLOOR,
    OTHERS_RAM,
    RAM_CEILING,
    RAM_FLOOR,
    FreeBytes,
    disk_tier_budget,
    free_for_engine,
    model_budget,
    ram_tier_budget,
)
from engine.model.memory_plan import GIB, MIB
from engine.model.plan_search import PlanRequest, plan_memory
from engine.model.story_size import StorySize

PC = FreeBytes(ram=11 * GIB, disk=200 * GIB, card=6 * GIB)


def test_the_model_may_take_what_the_card_has_free_up_to_a_cap():
    assert model_budget(PC) == 6 * GIB
    assert model_budget(PC, 4 * GIB) == 4 * GIB
    assert model_budget(replace(PC, card=3 * GIB), 4 * GIB) == 3 * GIB


def test_without_a_card_it_may_take_the_free_ram_but_for_the_rest_of_the_house():
    assert model_budget(replace(PC, card=0), 4 * GIB) == 11 * GIB
    assert free_for_engine(available=11 * GIB, limit=16 * GIB) == 11 * GIB - OTHERS_RAM
    assert free_for_engine(available=11 * GIB, limit=4 * GIB) == 4 * GIB, "a container's limit is its own"
    assert free_for_engine(available=100 * MIB, limit=16 * GIB) == 0


def test_blocks_get_half_of_the_ram_that_is_free_beside_the_model():
    on_card = plan_memory(LLAMA_3B, 6 * GIB)
    assert on_card.ram_bytes == 0, "all layers are on the card, and the embeddings with them: they are the output, too"
    assert ram_tier_budget(PC, on_card) == 5.5 * GIB
    in_ram = plan_memory(MISTRAL_7B, 8 * GIB, PlanRequest(gpu_layers=0))
    assert ram_tier_budget(PC, in_ram) == (11 * GIB - in_ram.total_bytes) // 2 // MIB * MIB


def test_a_card_whose_memory_is_the_ram_gets_no_more_than_is_free_and_leaves_the_rest():
    shared = FreeBytes(ram=9 * GIB, disk=0, card=12 * GIB, shared=True)
    assert model_budget(shared) == 9 * GIB
    plan = plan_memory(MISTRAL_7B, 9 * GIB)
    assert ram_tier_budget(shared, plan) == (9 * GIB - plan.total_bytes) // 2 // MIB * MIB


def test_weights_and_cells_of_layers_that_stay_behind_count_as_ram():
    part = plan_memory(MISTRAL_7B, 4608 * MIB)
    assert part.n_gpu_layers <= MISTRAL_7B.n_layers
    left = MISTRAL_7B.weight_bytes - part.weight_bytes
    assert left < part.ram_bytes < left + GIB


@pytest.mark.parametrize(
    ("free", "ram", "disk"),
    [
        (FreeBytes(ram=1 << 50, disk=1 << 50), RAM_CEILING, DISK_CEILING),
        (FreeBytes(ram=300 * MIB, disk=600 * MIB), RAM_FLOOR, DISK_FLOOR),
        (FreeBytes(ram=100 * MIB, disk=100 * MIB), 90 * MIB, 90 * MIB),
        (FreeBytes(ram=0, disk=0), 0, 0),
    ],
)
def test_floors_and_ceilings(free, ram, disk):
    assert ram_tier_budget(free, None) == ram
    assert disk_tier_budget(free) == disk


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("gib", [1, 8, 64, 1000])
def test_workers_of_one_machine_divide_what_is_free(n, gib):
    """Each finds the same bytes free. The floors hold for each of them, as long as all of them are not everything."""
    free = FreeBytes(ram=gib * GIB, disk=4 * gib * GIB)
    for budget, of_all, floor in (
        (lambda free: ram_tier_budget(free, None), free.ram, RAM_FLOOR),
        (disk_tier_budget, free.disk, DISK_FLOOR),
    ):
        each = budget(replace(free, n_sharing=n))
        assert each == max(budget(free) // n // MIB * MIB, floor) or budget(free) in (RAM_CEILING, DISK_CEILING)
        assert n * each <= 0.9 * of_all


def test_what_a_story_keeps():
    """Mistral 7B: 32 layers x 8 heads x 128 x (K and V), 2 bytes each; the hybrid has 8 layers of cells, and states."""
    dense = StorySize.of(MISTRAL_7B, "f16")
    assert dense.in_ram(1000) == dense.on_disk(1000) == 1000 * 32 * 8 * 128 * 2 * 2
    hybrid = StorySize.of(HYBRID_9B, "f16")
    assert hybrid.in_ram(1000) - hybrid.on_disk(1000) == 2 * HYBRID_9B.state_bytes
    assert StorySize.of(MISTRAL_7B, "q8_0").on_disk(1000) == dense.on_disk(1000) * 17 / 32
