# Needs Python 3.11 or newer with venv, and make; everything else lies in .venv after `make setup`.

SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
LOCKED := --require-hashes --only-binary :all:
CODE := moi_backup moi_assets sensors resources demo bench tests
BUILD_FILES := Makefile pyproject.toml $(wildcard requirements*) .ci/run

.PHONY: help setup demo up down clean test check bench soak lock

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: $(DEVELOPMENT) ## Install everything into .venv (quick when nothing changed)
	@echo "Ready: $(BIN)/moi-backup, or make demo"

demo: $(RUNTIME) ## Back up, lose data, restore it, prove it (ROWS=n for more data)
	@$(BIN)/python -m demo run $(if $(ROWS),--rows $(ROWS))

up: $(RUNTIME) ## Start Postgres and the Dagster UI, print its address
	@$(BIN)/python -m demo up

down: ## Stop what `make up` or `make demo` started
	@if [ -e $(RUNTIME) ]; then $(BIN)/python -m demo down; else echo "Nothing is set up here, so nothing runs."; fi

clean: ## Remove the state of the demo, after asking
	@if [ -e $(RUNTIME) ]; then $(BIN)/python -m demo clean; else echo "Nothing is set up here, so nothing is kept."; fi

test: $(DEVELOPMENT) ## Run the tests, with the coverage floor of the engine
	@$(BIN)/python -m pytest -n 2 -m "not soak" --cov

check: $(DEVELOPMENT) ## Lint, format, types, import contracts, coverage floor, no URLs in build files
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/pyright --warnings
	@$(BIN)/lint-imports --no-logo
	@if grep -nE ':[/][/]|-[-](extra-)?index-url|-[-]find-links' $(BUILD_FILES); then \
		echo "A build file names an address: packages are named by name, version and hash alone."; exit 1; fi
	@if [ ! -e .coverage ]; then \
		echo "Coverage: not measured yet; make test measures it and holds the same floor."; \
	elif [ -n "$$(find moi_backup -name '*.py' -newer .coverage)" ]; then \
		echo "Coverage: the engine changed since it was measured; make test measures it again and holds the same floor."; \
	else $(BIN)/coverage report --format=total > /dev/null && echo "Coverage: above the floor."; fi

bench: $(DEVELOPMENT) ## Measure against COPY, pg_dump and pg_restore
	@$(BIN)/python -m bench

soak: $(DEVELOPMENT) ## Run the tests that take minutes on purpose
	@$(BIN)/python -m pytest -m soak

lock: $(DEVELOPMENT) ## Resolve the requirements anew and write their hashes
	@$(COMPILE) --all-extras pyproject.toml requirements.in --output-file requirements.txt
	@$(COMPILE) --constraints requirements.txt requirements-dev.in --output-file requirements-dev.txt

# pip refuses hashed files whose extras were stripped, hence --no-strip-extras.
COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --only-binary :all: \
	--generate-hashes --no-strip-extras --no-emit-index-url --custom-compile-command "make lock"

define FIND_PYTHON
for python in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3; do \
	if $$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2> /dev/null; \
	then break; fi; python=; \
done; \
if [ -z "$$python" ]; then \
	echo "No Python 3.11, 3.12, 3.13 or 3.14 with the module venv was found: nothing can be installed."; \
	echo "Debian, Ubuntu: apt-get install python3 python3-venv"; \
	echo "Fedora: dnf install python3.11        macOS: brew install python@3.11"; \
	echo "If it is installed elsewhere: make setup PYTHON=/path/to/python3.11"; \
	exit 1; \
fi
endef

$(RUNTIME): requirements.txt pyproject.toml
	@$(FIND_PYTHON); \
	if ! $(BIN)/python -m pip --version > /dev/null 2>&1; then \
		echo "Creating $(VENV) with $$($$python --version)"; $$python -m venv --clear $(VENV); fi
	@echo "Installing the pinned packages of requirements.txt (a minute or two)"
	@$(PIP_INSTALL) $(LOCKED) -r requirements.txt
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

$(DEVELOPMENT): $(RUNTIME) requirements-dev.txt
	@echo "Installing the pinned packages of requirements-dev.txt"
	@$(PIP_INSTALL) $(LOCKED) -r requirements-dev.txt
	@touch $@
