# One environment in .venv, made when it is missing or its pins changed. Needs Python 3.11+ and make only.
#
# PyTorch is installed first: a CPU build where pip finds one, else what the package index offers. To
# choose a build yourself (for a GPU, say):  make TORCH='torch==2.13.0' TORCH_INDEX=<wheel index> test

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH ?=
TORCH_INDEX ?=
STAMP := $(VENV)/.installed

.PHONY: help setup demo test check docs docs-figures clean

help:  ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP)  ## Create the environment

$(STAMP): pyproject.toml constraints.txt scripts/setup_environment.sh
	PYTHON="$(PYTHON)" VENV="$(VENV)" TORCH="$(TORCH)" TORCH_INDEX="$(TORCH_INDEX)" sh scripts/setup_environment.sh
	@touch $@

demo: $(STAMP)  ## Clips, flow and three recognisers on synthetic faces; ends in a report
	$(BIN)/microexp demo

test: $(STAMP)  ## All tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto  # one thread a worker: more of them wait for each other

check: $(STAMP)  ## Formatting, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs-figures: $(STAMP)  ## The pictures and tables of the docs
	$(BIN)/python scripts/synthetic_contact_sheet.py
	$(BIN)/python scripts/faces_figure.py
	$(BIN)/python benchmarks/flow_error.py
	$(BIN)/python benchmarks/apex.py
	$(BIN)/python benchmarks/bidirectional.py
	$(BIN)/python scripts/method_pages.py

docs: $(STAMP)  ## The documentation, into site/
	@test -x $(BIN)/zensical || { echo "zensical builds it: $(BIN)/python -m pip install 'zensical>=0.0.10'"; exit 1; }
	$(BIN)/python scripts/method_pages.py --check
	$(BIN)/zensical build

clean:  ## Remove the environment
	rm -rf $(VENV)
