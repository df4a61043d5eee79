# Two commands do everything: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help run test check demo bench lock translations screens clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(VENV)/.run: requirements.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements.txt
	$(PIP) install --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements-dev.txt
	$(PIP) install --no-deps -e .
	@touch $@ $(VENV)/.run

run: $(VENV)/.run ## set up, migrate, load reference data, serve on http://127.0.0.1:8000 (PORT changes it)
	@exec $(BIN)/tanpuhui serve --port $(PORT)

test: $(VENV)/.dev ## set up and pass every test
	$(BIN)/python -m pytest -n auto --dist loadgroup

check: $(VENV)/.dev ## lint, layers, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/layout -p no:randomly

demo: $(VENV)/.run ## fill a district with a believable month (into ./var)
	$(BIN)/tanpuhui demo

bench: $(VENV)/.dev ## run the benchmarks
	$(BIN)/python -m benchmarks

lock: $(VENV)/.dev ## resolve the pinned requirements again (needs uv)
	$(PIP) install uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --generate-hashes --no-header pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --generate-hashes --no-header --all-extras pyproject.toml -o requirements-dev.txt

translations: $(VENV)/.dev ## collect strings, update and compile the English catalogue
	$(BIN)/python -m tests.translations

screens: $(VENV)/.dev ## take the pictures of docs/screens (needs Chromium)
	$(BIN)/python -m tests.journeys.screens

clean: ## remove the virtual environment and caches (keeps ./var)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
