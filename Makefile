PYTHON ?= python3
VENV ?= .venv

.PHONY: test check bench build completions

test:
	$(PYTHON) -m unittest

check: $(VENV)/.made
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench:
	$(PYTHON) bench/run.py

build:
	$(PYTHON) build_zipapp.py

completions:
	$(PYTHON) looop.py config bash >completions/looop.bash
	$(PYTHON) looop.py config zsh >completions/_looop
	$(PYTHON) looop.py config fish >completions/looop.fish

$(VENV)/.made: requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet -r requirements-dev.txt
	touch $@
