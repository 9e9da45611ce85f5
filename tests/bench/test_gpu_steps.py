"""The run of bench/gpu: its time, its rows, the end of its steps, and two of its steps as they are run."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from test_gpu_pack import small_pack

from bench.gpu import report, session, steps
from bench.gpu.budget import Budget, Times
from bench.gpu.build import Progress, options
from bench.gpu.memory import buffers
from bench.gpu.rows import Row, heard, judged, markdown, meets, missing, tell
from bench.gpu.toolkit import CardFacts
from tests.harness.processes import living

ROOT = Path(__file__).resolve().parents[2]
HOPPER = CardFacts("NVIDIA H200", "580.1", "90", 143771)


def test_a_step_gets_its_limit_or_what_is_left():
    budget, times = Budget(480), Times(least_s=20, limit_s=90)
    assert budget.limit_s(times, used_s=100) == 90
    assert budget.limit_s(times, used_s=430) == 38
    assert budget.limit_s(times, used_s=447.9) == pytest.approx(20.1)


def test_a_step_that_would_pass_the_budget_does_not_start():
    budget, times = Budget(480), Times(least_s=20, limit_s=90)
    assert budget.limit_s(times, used_s=449) is None
    assert budget.refusal(times, used_s=449) == "it needs 20 s and 19 s of 480 were left"
    assert budget.refusal(times, used_s=500) == "it needs 20 s and 0 s of 480 were left"


def test_a_build_that_takes_all_it_may_leaves_time_for_the_first_steps():
    used = steps.UNPACK.limit_s / 6 + steps.build_times(480).limit_s
    budget, started = Budget(480), []
    for step in steps.STEPS:
        if budget.limit_s(step.times, used) is not None:
            started.append(step.name)
            used += step.times.least_s
    assert started[:3] == ["contract", "model", "memory"]


def test_steps_are_chosen_by_name_and_bring_the_model_they_need():
    assert [step.name for step in steps.chosen("")] == [step.name for step in steps.STEPS]
    assert [step.name for step in steps.chosen("speed,contract")] == ["contract", "model", "speed"]
    assert [step.name for step in steps.chosen("contract")] == ["contract"]
    with pytest.raises(ValueError, match="there is no step 'wake': choose some of contract,model,"):
        steps.chosen("wake")


@pytest.mark.parametrize(
    ("figure", "target", "holds"),
    [("808x", ">= 20x", True), ("19x", ">= 20x", False), ("1.050", "<= 1.05", True), ("1.06", "<= 1.05", False)],
)
def test_a_figure_is_held_against_its_target(figure, target, holds):
    assert meets(figure, target) is holds


def test_a_row_goes_from_a_step_to_whoever_runs_it(capsys):
    row = judged("speed", "2 at once", "97.1%", ">= 95%", met=True, detail="a | b")
    tell(row)
    line = capsys.readouterr().out.rstrip("\n")
    assert heard(line) == row
    assert heard("... anything else") is None
    assert markdown([row]).splitlines()[-1] == "| speed | 2 at once | 97.1% | >= 95% | met | a / b |"


def test_what_a_step_has_not_told_is_not_measured():
    found = [Row("costs", "waking from RAM, times faster than reading", "30x")]
    rows = missing("costs", ("waking from RAM", "waking from disk"), found, "stopped at its limit")
    assert rows == [Row("costs", "waking from disk", "not measured", detail="stopped at its limit")]


def test_the_page_says_what_has_not_been_measured_or_has_a_run():
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    section = page.partition("<!-- gpu -->")[2].partition("<!-- /gpu -->")[0].strip()
    assert section == report.nothing() or re.match(r"NVIDIA .*, driver [\d.]+; \d+ cores, .*\n\n\| step", section)


def test_a_build_is_for_one_architecture_and_the_kv_types_of_the_engine():
    made = options(Path("/w/bin"), HOPPER, Path("/cuda/bin/nvcc"))
    assert "-DCMAKE_CUDA_ARCHITECTURES=90-real" in made
    assert "-DCUDAToolkit_ROOT=/cuda" in made
    assert "-DCMAKE_BUILD_RPATH=/cuda/lib64;/cuda/lib" in made  # or cuBLAS is not found when it is loaded
    assert "-DGGML_CUDA_FA_QUANTS=f16-f16;q8_0-q8_0" in made
    assert not [one for one in options(Path("/w/bin")) if "CUDA" in one]


def test_progress_is_said_now_and_then_and_at_the_end():
    clock, said = iter([0.0, 5.0, 10.0, 11.0, 12.0]), []
    progress = Progress(said.append, lambda: next(clock))
    for line in ("[1/4] a", "[2/4] b", "[3/4] c", "-- words", "[4/4] d"):
        progress(line)
    assert said == ["compiled 1 of 4", "compiled 3 of 4", "compiled 4 of 4"]


def test_buffers_on_a_card_are_those_that_are_not_in_ram():
    lines = (
        "load_tensors:   CPU_Mapped model buffer size =    72.00 MiB",
        "load_tensors:        CUDA0 model buffer size =  4095.05 MiB",
        "llama_kv_cache:      CUDA0 KV buffer size =   768.00 MiB",
        "sched_reserve:      CUDA0 compute buffer size =   108.01 MiB",
        "sched_reserve:  CUDA_Host compute buffer size =    22.01 MiB",
    )
    assert buffers(lines, on_card=True) == {"model": 4095.05, "KV": 768.0, "compute": 108.01}
    assert buffers(lines[:1], on_card=False) == {"model": 72.0}


GROUP_OF_ITS_OWN = "import os, time; os.setpgrp(); print('grandchild', os.getpid(), flush=True); time.sleep(600)"


def test_at_its_limit_a_command_ends_with_all_that_it_has_started():
    heard_lines = []
    command = ["sh", "-c", f'"{sys.executable}" -c "{GROUP_OF_ITS_OWN}" & sleep 600']
    ended = session.run(command, ROOT, os.environ, 1.5, heard_lines.append)
    assert ended.timed_out
    grandchild = int(heard_lines[0].split()[1])
    assert grandchild not in living()


def test_the_error_is_what_counts_of_what_a_command_said():
    said = ["Traceback", "engine.errors.RequestError: too long", "  and a header of something"]
    assert session.what_counts(said) == "engine.errors.RequestError: too long"
    assert session.what_counts(["one", "two"]) == "two"
    assert session.what_counts([]) == ""


def command(tmp_path, made, *more):
    return [
        *(sys.executable, "-m", "bench.gpu", "--pack", str(made), "--work", str(tmp_path / "work"), "--backend", "cpu"),
        *("--libraries", str(libraries()), "--toy", "--out", str(tmp_path / "out.md"), *more),
    ]


def libraries():
    return Path(find_spec("llama_cpp").submodule_search_locations[0]) / "lib"


def run(*arguments):
    return subprocess.run(*arguments, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.model
def test_a_run_measures_the_memory_of_a_model_that_it_makes(tmp_path):
    packages = [str(Path(entry)) for entry in sys.path if entry.endswith("site-packages")]
    made = small_pack(tmp_path / "pack", [("here.pth", "\n".join(packages).encode(), 0o644)])
    done = run(command(tmp_path, made, "--only", "memory"))
    assert done.returncode == 0, done.stdout + done.stderr
    table = (tmp_path / "out.md").read_text()
    assert "a toy model, not to be published" in table
    assert re.search(r"\| memory \| the plan \| 2 x 512, all in RAM \|", table)
    assert re.search(r"\| memory \| llama.cpp's buffers / the plan \| 0\.\d+ \(.* MiB\) \| <= 1 \| met \|", table)
    assert "| memory | taken of the card / the plan | not measured |  |  | a toy run |" in table


def test_a_step_that_fails_is_said_and_the_next_goes_on(tmp_path):
    made = small_pack(tmp_path / "pack")  # no package in it: no step can begin
    done = run(command(tmp_path, made, "--only", "contract,chains"))
    assert done.returncode == 1
    rows = [line for line in done.stdout.splitlines() if "not measured" in line and line.startswith("|")]
    assert [row.split(" | ")[0] for row in rows] == ["| contract", "| chains"]
    assert "ended with status 1: ModuleNotFoundError: No module named" in rows[0]


def test_without_a_card_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run(command(tmp_path, small_pack(tmp_path / "pack"), "--backend", "cuda"))
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "inglenook: nvidia-smi names no NVIDIA card here: `--backend cpu` runs the same steps on the CPU"
    )
