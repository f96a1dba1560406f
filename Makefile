# The verbs of the project. `make help` lists them; every target sets up .venv first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
SCALE  ?= small
FAULTS ?= 50
SEED   ?= 7
# Many tests wait for processes: one worker more than there are cores keeps the cores busy.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
GOLDEN ?= $(if $(LIVESTAR_GOLDEN_DIR),$(LIVESTAR_GOLDEN_DIR),$(wildcard ../shared/golden/livestar-tiny))

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow check lint type contracts protos protos-check parity bench chaos replicate clean

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

setup: $(READY) ## create .venv with everything in it (once; again only when pyproject.toml changes)

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("LiveStar needs Python 3.11 or newer; set PYTHON=/path/to/python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV) && $(BIN)/pip install --quiet --editable '.[dev]' && touch $@

demo: setup ## the whole system on a street scene: terminal and http://127.0.0.1:8080; Ctrl-C stops it
	$(BIN)/livestar demo

.PHONY: up sample
up: setup ## the whole system, for your own sources; Ctrl-C stops it
	$(BIN)/livestar up

sample: setup ## render the shipped clip again
	$(BIN)/livestar synth sample

test: setup ## the fast, hermetic tests (under two minutes on two cores)
	LIVESTAR_GOLDEN_DIR="$(GOLDEN)" $(BIN)/pytest -n $(WORKERS)

test-slow: setup ## the slow ones
	LIVESTAR_GOLDEN_DIR="$(GOLDEN)" $(BIN)/pytest -n auto -m 'slow and not gpu and not bench'

check: lint type contracts protos-check ## lint, types, import contracts, fresh stubs

lint: setup ## ruff: style and formatting
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

type: setup ## mypy --strict
	$(BIN)/mypy

contracts: setup ## who may import whom
	$(BIN)/lint-imports

protos: setup ## generate src/livestar/api from protos/
	$(BIN)/python protos/generate.py

protos-check: setup ## prove that src/livestar/api is current
	$(BIN)/python protos/generate.py --check

parity: setup ## compare with the published reference's vectors (GOLDEN=folder)
	$(BIN)/livestar parity "$(GOLDEN)"

bench: setup ## cost per frame against the length of the stream, as JSON
	$(BIN)/python tests/bench/stream_length.py

chaos: setup ## kills, freezes, drains and cuts under eight live streams; one line of JSON (FAULTS=50 SEED=7)
	@PYTHONPATH=tests $(BIN)/python -m chaos --faults $(FAULTS) --seed $(SEED)

replicate: setup ## the paper's claims measured anew, tables and plots in build/replication (SCALE=full needs a GPU)
	$(BIN)/python -m livestar.evaluation.replicate --scale $(SCALE) --out build/replication/$(SCALE)

clean: ## remove .venv and every cache
	rm -rf $(VENV) build dist out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
