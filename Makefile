# make demo, make test and make check set up what they need; the second time they are fast.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Two test processes with one thread each: torch would else start two threads in both.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=10

# Modules are compiled to bytecode when they are first imported; most never are.
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt

.PHONY: demo test check static kernels format clean

demo: $(VENV)/.ready
	$(BIN)/peftlab run quickstart

test: kernels
	$(PYTEST)

check: $(VENV)/.ready-dev
	$(MAKE) --jobs 2 static kernels
	$(PYTEST)

static: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Once, before the two test processes would both do it.
kernels: $(VENV)/.ready-dev
	$(BIN)/python -c 'from peftlab.models.fused.compile import ensure_compiled; ensure_compiled()'

format: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# torch first and by its version: whatever else asks for torch is then content with it.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	$(PIP) torch
	touch $@

$(VENV)/.ready: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) --editable '.[offline]'
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(PIP) --editable '.[dev]'
	touch $@
