# `make` alone explains the targets. Nothing but Python (3.11 to 3.13), git and make is needed.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
  if $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1; then echo $$p; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9
export UV_PYTHON_DOWNLOADS := never
# Threads of the linear algebra libraries only fight over the cores of a small machine.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export UV_PROJECT_ENVIRONMENT := $(VENV)

.PHONY: help setup demo up test coverage check proto bench bench-identity bench-profile bench-attribution bench-leases bench-scoring chaos-loop chaos-identity chaos-attribution eval-loop eval-identity eval-invalid-traffic eval-profile eval-scoring clean

help: ## Explain the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

$(UV):
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed, and none was found" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.synced: $(UV) uv.lock pyproject.toml
	@$(UV) sync --quiet --frozen --inexact --python $(BIN)/python
	@touch $@

setup: $(VENV)/.synced ## Create .venv with everything that is pinned in uv.lock

demo: setup ## Close the loop on real data, every service a process of its own
	@$(BIN)/bihuan demo

up: setup ## Start everything on this machine and print where it is; Ctrl-C stops it
	@$(BIN)/bihuan up --port 8080

test: setup ## Run every test
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

coverage: setup ## Run unit, contract and integration tests with branch coverage
	@$(BIN)/python -m pytest -n 2 --dist loadgroup tests/unit tests/contract tests/integration tests/golden --cov --cov-report=term

check: setup ## Run every check: format, lint, types, architecture, protos, dependencies, manifests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/buf lint
	@$(BIN)/deptry .
	@$(UV) lock --check --quiet
	@tools/check-protos
	@tools/check-manifests

proto: setup ## Generate protos/gen from protos
	@tools/generate-protos protos/gen

bench: setup ## Decisions per second and latency of the local stack, with the mix of loadtests/
	@$(BIN)/python loadtests/bench_loop.py

bench-identity: setup ## Bytes per identifier, lookups per second, merges and splits, beside the naive way
	@$(BIN)/python loadtests/bench_identity.py

bench-profile: setup ## Freshness under load, bytes a profile, reads and bulk load per second, beside the naive way
	@$(BIN)/python loadtests/bench_profile.py

bench-attribution: setup ## Events billed a second of CPU beside the naive way; Markov and Shapley beside peers
	@$(BIN)/python loadtests/bench_attribution.py

bench-leases: setup ## The budget step of decisions, with leases and with a call each
	@$(BIN)/python loadtests/bench_leases.py

bench-scoring: setup ## Microseconds a scored row beside LightGBM and MLServer, and what audiences and look-alike cost
	@$(BIN)/python loadtests/bench_scoring.py

chaos-loop: setup ## Kill processes in the middle of the loop and compare the totals (50 kills)
	@$(BIN)/python loadtests/chaos_loop.py --kills 50

chaos-identity: setup ## Kill identity 1,000 times in merges and splits and compare who is who
	@$(BIN)/python loadtests/chaos_identity.py

chaos-attribution: setup ## Kill attribution and its engines 200 times under load on SQLite, and again on PostgreSQL
	@$(BIN)/python loadtests/chaos_attribution.py

eval-loop: setup ## Send 10,000 generated requests to every route; none may answer 5xx
	@$(BIN)/python loadtests/fuzz_http.py --requests 10000

eval-identity: setup ## Record linkage on synthetic records with known truth (FEBRL), and UID2's vectors
	@$(BIN)/python loadtests/eval_identity.py

eval-invalid-traffic: setup ## Precision and recall of the rules of invalid traffic on a synthetic day with known truth
	@$(BIN)/python loadtests/eval_invalid_traffic.py

eval-profile: setup ## RFM of everyone beside DuckDB (Complete Journey, CDNOW), cuts of quintiles, expected spend beside the naive one
	@$(BIN)/python loadtests/eval_profile.py

eval-scoring: setup ## Redemption of a send on Complete Journey (AUC, calibration, lift, beside the linear model), look-alike
	@$(BIN)/python loadtests/eval_scoring.py

clean: ## Remove the environment, caches and local state
	rm -rf $(VENV) .bihuan .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist build .coverage*
