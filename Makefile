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
export UV_PROJECT_ENVIRONMENT := $(VENV)

.PHONY: help demo test check proto bench bench-loop chaos-loop eval-loop clean setup

help: ## Explain the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

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

test: setup ## Run every test
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

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

clean: ## Remove the environment, caches and local state
	rm -rf $(VENV) .bihuan .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist build .coverage*
