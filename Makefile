PYTHON ?= python3
VENV ?= .venv

.PHONY: test check bench build

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

$(VENV)/.made: requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet -r requirements-dev.txt
	touch $@
