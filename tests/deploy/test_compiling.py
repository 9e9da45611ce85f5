"""The lines of progress while llama.cpp is compiled."""

from deploy.setup.compiling import Progress


def lines(*output):
    progress, said = Progress("compiling"), []
    for number, line in enumerate(output):
        progress.read(line)
        said.append(progress.words(number * 60.0))
    return [words for words in said if words]


def test_steps_of_ninja():
    said = lines(*(f"  [{step}/156] /usr/bin/c++ -O3 -c ggml-{step}.c" for step in range(1, 157)))
    assert said[0] == "compiling: step 1 of 156, 0 min so far"
    assert said[-1] == "compiling: step 156 of 156, 155 min so far"
    assert len(said) == 21


def test_per_cents_of_make():
    assert lines("[  5%] Building C object", "[100%] Linking") == [
        "compiling: step 5 of 100, 0 min so far",
        "compiling: step 100 of 100, 1 min so far",
    ]


def test_what_is_no_step():
    assert lines("Collecting llama-cpp-python", "[notice] a new pip", "x[1/2]", "") == []


def test_a_minute_is_never_silent():
    progress = Progress("compiling")
    assert progress.words(60, asked=True) == "compiling: preparing (compiler, packages for the build), 1 min so far"
    progress.read("[3/156] nvcc fattn.cu")
    assert progress.words(61) == "compiling: step 3 of 156, 1 min so far"
    assert progress.words(121) is None
    assert progress.words(121, asked=True) == "compiling: step 3 of 156, 2 min so far"
