"""The start table: what a newcomer reads in the terminal."""

import pytest

from deploy.start_table import start_table, toy_line
from store.broker.registry import NOTHING_KNOWN, EngineView

GIB = 1 << 30
ENGINE = EngineView(
    model_name="Qwen3.5 4B", kind="qwen35, Q4_K_M", kv_type="f16", lanes=2, context=8192, layers=33, gpu_layers=33,
    device="NVIDIA GeForce RTX 3060", build="CUDA", driver="driver 580.65", weight_bytes=int(2.4 * GIB), kv_bytes=GIB,
    compute_bytes=GIB // 8, reserve_bytes=GIB // 2, budget_bytes=int(5.7 * GIB), ram_budget=5 * GIB,
    disk_budget=50 * GIB, story_in_ram=GIB // 2, story_on_disk=GIB // 4,
)  # fmt: skip


def test_what_it_says_of_a_card():
    assert start_table(ENGINE).splitlines() == [
        "  model    Qwen3.5 4B, qwen35, Q4_K_M",
        "  card     NVIDIA GeForce RTX 3060, CUDA, driver 580.65: 33 of 33 layers",
        "  memory   4.0 of 5.7 GiB of card memory: weights 2.4, cells 1.0, computing 0.1, kept free 0.5",
        "  chats    2 at once, 8,192 tokens each, KV cells in f16",
        "  sleeping about 10 full stories (5.0 GiB) in RAM, about 200 (50.0 GiB) on disk",
    ]


def test_what_it_says_without_one():
    table = start_table(EngineView(budget_bytes=GIB, model_name="Smol", context=2048, layers=31))
    assert "card     none is used, the CPU computes" in table
    assert "of RAM: weights" in table


def test_what_it_says_of_a_card_that_is_too_small():
    engine = EngineView(budget_bytes=GIB, layers=31, device="NVIDIA GeForce MX150", build="CUDA")
    words = "card     NVIDIA GeForce MX150 is not used, the model does not fit into its memory: the CPU computes"
    assert words in start_table(engine)


@pytest.mark.parametrize(
    ("why", "file", "words"),
    [
        ("chosen", "qwen.gguf", "Smol, llama, Q4_1 (qwen.gguf, chosen on the page Models)"),
        ("started", "", "Smol, llama, Q4_1 (as INGLENOOK_MODEL says)"),
        ("demo", "", "Smol, llama, Q4_1 (the demo model)"),
        ("instead", "a.gguf", "Smol, llama, Q4_1 (instead of the chosen one: the page Models says why)"),
    ],
)
def test_which_model_answers_and_why(why, file, words):
    engine = EngineView(budget_bytes=GIB, model_name="Smol", kind="llama, Q4_1", model_why=why, model_file=file)
    assert start_table(engine).splitlines()[0] == f"  model    {words}"


def test_an_engine_without_a_plan_has_no_table():
    assert start_table(NOTHING_KNOWN) == ""


def test_a_toy_says_where_a_real_model_is_chosen():
    words = toy_line(EngineView(model_why="demo"), "http://127.0.0.1:8420")
    assert "Choose a real one: http://127.0.0.1:8420/models" in words
    assert toy_line(EngineView(model_why="chosen"), "http://127.0.0.1:8420") == ""
