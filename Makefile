# Targets: demo, test, install, lint, bench, pictures, clean. Paths are relative, so that any folder name works.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench pictures clean

RUN := .venv/bin/python

help:
	@echo "make demo     install, then segment the sample CT with deferral into demo/"
	@echo "make test     install, then run the whole test suite"
	@echo "make install  only make .venv and install everything into it"
	@echo "make lint     format check, lint, types and import contracts"
	@echo "make bench    the speed and memory tables of docs/benchmarks.md"
	@echo "make pictures the pictures of the README and the tutorial, drawn off-screen"
	@echo "make clean    remove the environments, demo/ and caches"

# install.sh ends at once if .venv already fits pyproject.toml, this folder and this Python.
install:
	@bash scripts/install.sh

demo: install
	@$(RUN) scripts/demo.py

# One thread a test process: two processes on two cores are faster than threads that fight. The tests of the panel run in
# processes of their own: their look-alike of Slicer has the views that the tests of the scene make for themselves.
PYTEST := OMP_NUM_THREADS=1 MPLBACKEND=Agg QT_QPA_PLATFORM=offscreen $(RUN) -m pytest -n auto
PANEL := Testing/ui Testing/slicer

# The scene layer is tested on the libraries of Slicer's preview (in .venv) and on those of the stable Slicer.
STABLE := .venv-slicer-5.12
STABLE_PACKAGES := "slicer-core==5.12.4.0" numpy SimpleITK pytest hypothesis pydicom

$(STABLE)/installed: Makefile | install
	@rm -rf $(STABLE)
	@$(RUN) -m venv $(STABLE)
	@$(STABLE)/bin/python -m pip install --quiet --disable-pip-version-check --no-input $(STABLE_PACKAGES)
	@touch $@

test: install $(STABLE)/installed
ifeq ($(strip $(ARGS)),)
	@$(PYTEST) $(foreach folder,$(PANEL),--ignore=$(folder))
	@$(PYTEST) $(PANEL)
	@OMP_NUM_THREADS=1 $(STABLE)/bin/python -m pytest Testing/mrml
else
	@$(PYTEST) $(ARGS)
endif

lint: install
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy
	@$(RUN) .venv/bin/lint-imports --no-logo

bench: install
	@for script in Testing/benchmarks/*.py; do echo "== $$script"; $(RUN) "$$script"; done

pictures: install
	@$(RUN) scripts/screenshots.py
	@$(RUN) scripts/tutorial_pictures.py

clean:
	@rm -rf .venv $(STABLE) .venv-lock demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@rm -rf DeferredSegSlicer/*.egg-info
