# make demo, make test and make check set up what they need; the second time they are fast.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Two test processes with one thread each: torch would else start two threads in both.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test check format clean

demo: $(VENV)/.ready
	$(BIN)/peftlab run quickstart

test: $(VENV)/.ready-dev
	$(PYTEST)

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

format: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# torch first and by its version: whatever else asks for torch is then content with it.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	touch $@

$(VENV)/.ready: pyproject.toml constraints.txt $(VENV)/.torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[offline]'
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@
