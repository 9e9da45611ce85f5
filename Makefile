# Two commands do everything: `make run` and `make test`. `make help` lists the others.
#   make run PORT=9000 MODEL=/path/to/model.gguf     every other setting: INGLENOOK_* (see docs/operators.md)
#   make run GPU=auto|cuda|vulkan|metal|cpu          what llama.cpp computes with; auto: the card, if there is one

unexport PYTHONDONTWRITEBYTECODE # without .pyc files every process compiles every module anew

PYTHON ?= python3
PY := .venv/bin/python
ROOMS := engine store worker web deploy

# PORT, MODEL and GPU are taken from the command line of make only, not from the environment.
gpu := $(if $(filter command line,$(origin GPU)),$(GPU),auto)
chosen := $(if $(filter command line,$(origin PORT)),INGLENOOK_PORT='$(PORT)') \
          $(if $(filter cpu,$(gpu)),INGLENOOK_GPU_LAYERS=0) \
          $(if $(filter command line,$(origin MODEL)),INGLENOOK_MODEL='$(MODEL)')
on_model := $(if $(filter command line,$(origin MODEL)),--model '$(MODEL)')

.PHONY: help run model test test-postgres test-vulkan soak-tests lint format browser story check check-crashes check-downloads check-kills check-rolling attack bench bench-engine soak-engine bench-queue bench-device bench-scale bench-lore bench-search bench-recall bench-plans bench-chats bench-gpu-pack load fuzz words audit docs compose-test check-cuda-build clean check-python venv venv-dev

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST)

run: venv ## start everything on this machine; Ctrl+C stops it
	@exec env $(chosen) $(PY) -m deploy.run

model: venv ## fetch a model and let it answer: NAME=qwen3.5-4b, or NAME=owner/name FILE=x.gguf (.venv/bin/inglenook model find)
	@exec $(PY) -m deploy.cli model get '$(NAME)' $(if $(FILE),--file '$(FILE)') --use

# Half of the time a test waits for a process or a clock: two processes for each core.
TESTS ?= $$((2 * $$(getconf _NPROCESSORS_ONLN)))
test: venv-dev ## the tests, without the browser's; TESTS=2 at the same time
	@exec $(PY) -m pytest -m 'not browser' -n $(TESTS) --dist worksteal $(PYTEST_ARGS)

soak-tests: venv-dev ## the property searches in their long form: hours
	@exec env SOAK=1 $(PY) -m pytest -n auto --dist worksteal --timeout 7200 $(SEARCHES) $(PYTEST_ARGS)

SEARCHES = $(shell grep -rlE '^from hypothesis' tests --include='test_*.py')
ON_POSTGRES = tests/store tests/deploy/test_container.py tests/deploy/test_backup_under_load.py
test-postgres: venv-dev ## the store's tests, and backups under load, on PostgreSQL (Debian: apt install postgresql)
	@exec $(PY) -m pytest --postgres $(ON_POSTGRES) $(PYTEST_ARGS)

VULKAN_ARGS ?=
test-vulkan: venv-dev ## the engine's tests and two browsers with every layer on a device, Vulkan in software (Debian; builds it once)
	@exec $(PY) -m tests.vulkan $(VULKAN_ARGS)

BROWSERS ?= 0
browser: venv-dev ## the tests that drive Chromium: BROWSERS=2 at the same time, each with a stack of its own
	@exec $(PY) -m pytest -m browser -n $(BROWSERS) --dist loadfile tests/browser $(PYTEST_ARGS)

lint: venv-dev ## ruff and mypy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy $(ROOMS:%=-p %)

format: venv-dev ## let ruff put the code in order
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

SEED ?= 1
CLIENTS ?= 12
RACES ?= 0
CHECK_ARGS = --seed $(SEED) --minutes $(MINUTES) --clients $(CLIENTS) --races $(RACES)
check: venv-dev ## a storm of faults over a whole installation: SEED=1 MINUTES=10 CLIENTS=12 RACES=500
	@exec $(PY) -m tests.nemesis $(CHECK_ARGS)

CRASHES ?= 200
check-crashes: venv-dev ## kill -9 at chosen moments of a turn (in a commit, before an ack, at a start): CRASHES=200
	@exec $(PY) -m tests.nemesis.crashes --n $(CRASHES)

ATTACK_ARGS ?=
attack: venv-dev ## what a neighbour feels while one account does the worst it may: ATTACK_ARGS="--seconds 20 --only dice"
	@exec $(PY) -m tests.attack $(ATTACK_ARGS)

KILLS ?= 100
check-kills: venv-dev ## kill -9 of a worker in mid-reply, KILLS=100 times: how long until text moves again
	@exec $(PY) -m tests.nemesis.kills --n $(KILLS)

RUNS ?= 500
check-downloads: venv-dev ## models fetched from a bad hub, with kills: 0 wrong files, 0 bytes twice: RUNS=500 SEED=1
	@exec $(PY) -m tests.nemesis.downloads --runs $(RUNS) --seed $(SEED)

ROUNDS ?= 3
check-rolling: venv-dev ## restart every worker and web server while people write: ROUNDS=3
	@exec $(PY) -m tests.nemesis.rolling --rounds $(ROUNDS)

CONTEXT ?= 512
story: venv-dev ## a 60-turn story: memory and tokens per turn: MODEL=gemma CONTEXT=1024, or a file; else the demo model
	@exec $(PY) -m bench.story --context $(CONTEXT) $(on_model)

BENCH_ARGS ?=
bench: venv-dev ## beside llama-server and llama-cpp-python, BENCH_ARGS="--quick --parts a,b"; writes docs/benchmarks.md
	@$(PY) -c 'import matplotlib' 2>/dev/null || $(PY) -m pip install -q -e '.[bench]'
	@exec $(PY) -m bench.side_by_side $(BENCH_ARGS)

bench-engine: venv-dev ## what a turn reads, what the engine costs; writes docs/benchmarks.md (MODEL=gemma, tiny-qwen35, a file: prints)
	@exec $(PY) -m bench.engine $(on_model)

MINUTES ?= 10
soak-engine: venv-dev ## the engine's long promises, MINUTES=10; writes docs/benchmarks.md
	@exec $(PY) -m bench.soak_engine --minutes $(MINUTES)

bench-queue: venv-dev ## fairness, estimates of the wait, stops; writes docs/benchmarks.md
	@exec $(PY) -m bench.queue

load: venv-dev ## 500 web sockets, slow and hostile ones, restarts; writes docs/benchmarks.md
	@exec $(PY) -m bench.load

bench-lore: venv-dev ## 300 turns with a lorebook of 200 entries: what a turn reads; writes docs/benchmarks.md
	@exec $(PY) -m bench.lore

bench-search: venv-dev ## 100,000 messages of 50 people: how long a search takes; writes docs/benchmarks.md
	@exec $(PY) -m bench.search

bench-recall: venv-dev ## the memory test: what is recalled of what has left the window; writes docs/benchmarks.md
	@exec $(PY) -m bench.recall

bench-plans: venv-dev ## how twelve models would be loaded on cards of 6 and 8 GB; writes docs/benchmarks.md
	@exec $(PY) -m bench.plans

bench-device: venv-dev ## what a device changes (batches, saving, a stop), on whatever llama.cpp computes on here
	@exec $(PY) -m bench.device $(on_model)

bench-chats: venv-dev ## thirty chats in turns: what is read again; writes docs/benchmarks.md
	@exec $(PY) -m bench.thirty_chats

PYTHON_THERE ?= 3.12
bench-gpu-pack: venv-dev ## a folder for a machine with a card and no network, PYTHON_THERE=3.12; there: sh build/gpu/run
	@exec $(PY) -m bench.gpu.pack build/gpu --python $(PYTHON_THERE)

bench-scale: venv-dev ## how far one Redis and one database carry it; writes docs/benchmarks.md
	@exec $(PY) -m bench.scale

check-cuda-build: check-python ## compile llama.cpp for an NVIDIA card (sm_75) with PyPI's toolchain; needs no card, half an hour
	@exec $(PYTHON) -m deploy.setup.check_cuda_build

fuzz: venv-dev ## mutated card files, MINUTES=3: each is taken or refused with a sentence, quickly and in little memory
	@exec $(PY) -m tests.fuzz --minutes $(MINUTES)

audit: venv ## known security holes of what is installed, by pip-audit (needs the internet)
	@exec $(PY) -m deploy.audit

words: venv-dev ## extract the texts to translate into web/translations
	@exec $(PY) -m web.i18n.extract

docs: venv-dev ## write the generated parts of docs/map.md and docs/operators.md
	@exec $(PY) -m deploy.docs_from_code

compose-test: venv-dev ## the containers, with two browsers against them; WITH=deploy/compose.postgres.yml or .tls.yml adds a file
	@exec bash deploy/compose-test $(addprefix --with ,$(WITH))

clean: ## remove what was installed and built (data/ stays)
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find $(ROOMS) tests bench -name __pycache__ -type d -exec rm -rf {} +

venv: check-python
	@$(PYTHON) deploy/bootstrap.py run '$(gpu)'

venv-dev: check-python
	@$(PYTHON) deploy/bootstrap.py dev

check-python:
	@command -v $(PYTHON) >/dev/null || { echo "inglenook: There is no '$(PYTHON)' here: install Python 3.11 or newer, or name it, make run PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "inglenook: '$(PYTHON)' is $$($(PYTHON) -V 2>&1), 3.11 or newer is needed: make run PYTHON=/path/to/python3.11" >&2; exit 1; }
