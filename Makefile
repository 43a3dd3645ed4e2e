# `make` or `make help` lists what can be done here.
SHELL := /bin/bash
PYTHON ?= python3.11
BIN := .venv/bin
LOCK := $(BIN)/python -m uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-header --quiet
.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE  # with it, each process of a test compiles everything anew

.PHONY: help
help:  ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: setup
setup: .venv/ready  ## Make .venv from requirements.lock, with everything in it

.venv/ready: requirements.lock pyproject.toml
	@python=$$(command -v $(PYTHON) || command -v python3) && \
	 $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	 { echo "Sayso needs Python 3.11 or later; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python"; exit 1; }; \
	 echo "==> Making .venv with $$python"; $$python -m venv .venv
	@echo "==> Installing the packages of requirements.lock (once; about half a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: run
run: setup  ## Start the server with a demo agent, and print the link to sign in
	@exec $(BIN)/sayso demo $(ARGS)

.PHONY: replicas
replicas: setup  ## Start PostgreSQL, two replicas, a worker and nginx, as in production
	@exec $(BIN)/python -m tools.replicas $(ARGS)

.PHONY: test
test: setup tools  ## Run all tests: unit, contracts, real processes, a real browser
	@$(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder $(ARGS)

.PHONY: tools
tools: setup  # what tests need besides Python packages
	@$(BIN)/python tools/install_test_tools.py

.PHONY: check
check: setup  ## Check format, lint, types, import contracts and docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python tools/check_docs.py

.PHONY: format
format: setup  ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: bench
bench: setup  ## Measure beside a bare reference, in one run
	@$(BIN)/python -m bench $(ARGS)

.PHONY: soak
soak: setup tools  ## Load, break everything over and over, and look for what is lost
	@PYTHONPATH=tests:. exec $(BIN)/python -m soak $(ARGS)

.PHONY: lock
lock: setup  ## Make the lock files anew: ours, the image's, and that of the peers' packages
	$(LOCK) --all-extras --group dev pyproject.toml -o requirements.lock
	$(LOCK) --no-annotate --constraints requirements.lock --extra server --extra postgres --extra redis --extra nats --extra otel pyproject.toml -o deploy/requirements.lock
	echo "hatchling" | $(LOCK) --no-annotate --constraints requirements.lock - -o deploy/build.lock
	$(LOCK) bench/peers/requirements.in -o bench/peers/requirements.txt

.PHONY: clean
clean:  ## Remove .venv and caches; data is kept
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache
