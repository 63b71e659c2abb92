# make run: everything from nothing to a published file. make test: what CI runs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.installed
METERHOUSE_HOME ?= data/home
export METERHOUSE_HOME
export DO_NOT_TRACK := 1
export DAGSTER_DISABLE_TELEMETRY := yes

.PHONY: help setup run ui test lint docs bench trials lock clean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

setup: $(STAMP) ## Make .venv with the meterhouse command

# The lock is complete and hashed, so nothing is resolved; what is installed is what was tested.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "Python 3.11 is needed; name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

run: setup ## Simulate usage in an empty home, then read, build, check and publish
	if [ ! -d "$$METERHOUSE_HOME/catalog" ]; then \
	  $(BIN)/meterhouse init --product ai_pair_orchestrator; \
	  $(BIN)/meterhouse simulate-usage --events 100000 --days 92 --seed 1; \
	fi
	$(BIN)/meterhouse run

ui: setup ## Open Dagster's web interface on the home
	$(BIN)/meterhouse ui

test: setup lint ## Check style, types and SQL, then run all tests
	$(BIN)/pytest -n 2 --dist worksteal

lint: setup ## Check style, types and SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint dbt_project/models dbt_project/tests --processes 2 --disable-progress-bar

docs: setup ## Build the documentation site, with a page per mart and the lineage
	$(BIN)/python -m docs

bench: setup ## Measure ingest, marts and one more day (minutes)
	$(BIN)/python -m benchmarks

N ?= 25
trials: setup ## Kill and interrupt commands N times each, and run them at once (NAMES chooses; hours)
	PYTHONPATH=tests:tests/books:tests/payments $(BIN)/python tests/faults/trials.py $(N) $(NAMES)

lock: ## Resolve pyproject.toml again into requirements.lock (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --generate-hashes -o requirements.lock

clean: ## Remove .venv and caches; the home stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis dbt_project/target dbt_project/logs docs/_build
