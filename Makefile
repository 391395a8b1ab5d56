PYTHON ?= python3
VENV ?= .venv

.PHONY: test check coverage mutants ways texts bench build

test:
	$(PYTHON) -m unittest

check: $(VENV)/.made
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/vermin --quiet --no-tips --target=3.9- --exclude str.decode looop.py build_zipapp.py tests bench
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

# branches of each section of looop.py that tests reach in their own process; all of every pure one: see the script
coverage: $(VENV)/.made
	$(VENV)/bin/python tests/coverage_of_sections.py $(NAMES)

# whether tests notice small changes of a section: make mutants SECTION="World hash" N=60 SEED=1 NAMES="world beat"
mutants:
	$(PYTHON) tests/mutants.py "$(SECTION)" $(or $(N),60) $(or $(SEED),1) $(NAMES)

# pip, pipx and uv install the checkout: needs a package registry
ways: $(VENV)/.made
	LOOOP_REGISTRY=1 $(VENV)/bin/python -m unittest tests.test_packaging

# what is generated from looop.py and kept in the repository
texts:
	mkdir -p build completions docs
	$(PYTHON) looop.py config bash >build/text && mv build/text completions/looop.bash
	$(PYTHON) looop.py config zsh >build/text && mv build/text completions/_looop
	$(PYTHON) looop.py config fish >build/text && mv build/text completions/looop.fish
	$(PYTHON) looop.py help --man >build/text && mv build/text docs/looop.1

bench:
	$(PYTHON) bench/run.py

build:
	$(PYTHON) build_zipapp.py

$(VENV)/.made: requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet -r requirements-dev.txt
	touch $@
