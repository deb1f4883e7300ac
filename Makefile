# Each target installs what it needs into .venv first; see `make help`.
PYTHON ?= python3
BIN := .venv/bin
# The stages' `python` is the one of .venv.
export PATH := $(CURDIR)/$(BIN):$(PATH)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help repro experiments studies export docs report test faults verify audit check plots bench readme graph template lock clean

help:  ## say what each target does
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What is typed after JOBS= and REV= reaches the program as one word, whatever is in it.
export JOBS REV
repro: .venv/installed  ## run the pipeline to its last figure and show the results; JOBS=1 runs one stage after the other
	$(BIN)/python -m tools.repro "$$JOBS"
	@$(BIN)/python -m tools.results

studies: .venv/installed  ## perform the trials of studies.yaml that are missing, an hour and a half for all, and write studies/index.html
	$(BIN)/python -m dvc repro studies/dvc.yaml

export: .venv/installed-for-export  ## write every classifier as ONNX, with a card, to export/
	$(BIN)/python -m dvc repro export/dvc.yaml

docs: .venv/installed-for-docs  ## build the documentation, site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@$(BIN)/python -c 'from pathlib import Path; print(Path("site/index.html").resolve().as_uri())'

experiments: .venv/installed  ## show in which parameters and results the experiments of this commit differ
	@$(BIN)/python -m tools.experiments

report: .venv/installed  ## build report/index.html from metrics/ and plots/, and name it; REV=… compares with a revision
	@if [ -n "$$REV" ]; then $(BIN)/python -m tools.compare "$$REV"; else $(BIN)/python -m dvc repro --single-item report \
	&& $(BIN)/python -c 'from pathlib import Path; print(Path("report/index.html").resolve().as_uri())'; fi

# Fails in a worker of xdist, alone there too; why is not known.
ALONE := tests/faults/test_fuzz.py
test: .venv/installed-for-tests  ## check the code, then run every test
	@$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest --quiet $(ALONE)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ALONE:%=--ignore %)

faults: .venv/installed-for-tests  ## try every fault, the slow ones too, and write docs/faults.md
	$(BIN)/python -m pytest tests/faults tests/test_verify.py --ignore tests/faults/test_table.py -m "" --write-faults

verify: .venv/installed  ## run everything again in a clone and compare every output with what is committed
	$(BIN)/python -m tools.verify "$$JOBS"

audit: .venv/installed .venv/audit  ## ask pip-audit about every package that is pinned
	@PYTHONPATH=.venv/audit $(BIN)/python -m tools.audit

check: .venv/installed-for-tests  ## lint, formatting and types only
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

plots: .venv/installed  ## write dvc_plots/index.html, the curves as an interactive page
	$(BIN)/python -m dvc plots show

bench: .venv/installed-for-tests  ## measure this project and its peers, twenty minutes; writes benchmarks/results.md
	$(BIN)/python -m benchmarks

readme: .venv/installed  ## write the tables of results into README.md
	$(BIN)/python -m tools.results README.md

graph: .venv/installed  ## draw docs/graph.svg, which stage needs which
	$(BIN)/python -m tools.graph

template: .venv/installed-for-tests  ## write .dvc/plots_offline.html, the page of `dvc plots`
	$(BIN)/python -m tools.plots_template

lock: .venv/installed-for-tests  ## write constraints.txt from what is installed
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+[A-Za-z0-9.]*$$//' > constraints.txt

clean:  ## remove the environment and all that DVC can make again; results in git stay
	git clean -fdXq -- data models dvc_plots report
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .dvc/cache .dvc/tmp

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "descent needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@echo "Installing what is needed into .venv, once: a few minutes."
	$(PYTHON) -m venv .venv

# A folder of its own, so that `make lock` does not pin it.
.venv/audit: constraints.txt | .venv/bin/python
	$(PIP) --no-warn-conflicts --upgrade --target $@ pip-audit
	@touch $@

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable .
	@touch $@

.venv/installed-for-docs: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[docs]'
	@touch $@ .venv/installed

.venv/installed-for-export: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[onnx]'
	@touch $@ .venv/installed

# torchattacks asks for a `requests` older than DVC's, and needs none of it.
.venv/installed-for-tests: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[test]'
	$(PIP) --no-deps torchattacks==3.5.1
	@touch $@ .venv/installed .venv/installed-for-docs .venv/installed-for-export
