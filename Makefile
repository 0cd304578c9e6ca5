# Each target sets up what it needs on a fresh machine: a virtual environment, the package, open3d's libraries.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ifneq ($(wildcard ../shared/data/bfm),)
export TWODASL_DATA ?= $(abspath ../shared/data)
endif

.PHONY: demo test check lint types setup clean

# The main job on what is in the package: landmarks to a face, pictures, meshes and a score, in demo/index.html.
demo: setup
	$(BIN)/twodasl demo -o demo

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -rs

check: lint types

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/check_tracked.py

types: setup
	$(BIN)/python tools/link_types.py
	$(BIN)/mypy

setup: $(VENV)/installed

$(VENV)/installed: setup.cfg setup.py pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	$(BIN)/python tools/system_libraries.py
	touch $@

clean:
	rm -rf $(VENV) .types build *.egg-info
