# Two commands matter: `make demo` and `make test`. Both set themselves up first.
# Needs Python 3.11 or newer, make, and (the first time) a package registry.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format openapi bench lock clean

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup: $(STAMP)  ## create .venv from requirements.lock (hashes checked)

$(STAMP): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed: install it, or name one: make PYTHON=/path/to/python3" >&2; exit 2; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python's venv module is needed (on Debian and Ubuntu: the package python3-venv)" >&2; exit 2; }
	@echo "Installing into $(VENV) (the first time, a minute or so) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: $(STAMP)  ## start the service on 127.0.0.1:8000 with a synthetic cohort
	@$(BIN)/ssci demo $(ARGS)

test: $(STAMP)  ## the whole test suite, on a PostgreSQL of its own
	@$(BIN)/python -m pytest -n auto $(ARGS)

check: $(STAMP)  ## format, lint, types, architecture
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest tests/test_architecture.py

format: $(STAMP)  ## let ruff format and sort
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

openapi: $(STAMP)  ## regenerate openapi/
	@$(BIN)/python scripts/openapi.py

bench: $(STAMP)  ## the benchmark suite
	@$(BIN)/python -m bench $(ARGS)

lock: $(STAMP)  ## resolve the dependencies of pyproject.toml into requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --quiet --output-file requirements.lock

clean:  ## remove what can be made again; data/ stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
