# Each target installs what it needs into .venv first; see `make help`.
PYTHON ?= python3
BIN := .venv/bin
# The stages' `python` is the one of .venv, which is made from the one of the user's own PATH.
export OUTSIDE := $(subst $(CURDIR)/$(BIN):,,$(PATH))
export PATH := $(CURDIR)/$(BIN):$(PATH)
# With these pip installs into another place, and Python imports from another one or does not end.
unexport PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PYTHONHOME PYTHONPATH PYTHONSAFEPATH PYTHONUSERBASE PYTHONINSPECT
# With these, which a git hook or a stage sets, git and DVC work on another repository.
unexport GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE DVC_ROOT DVC_STAGE
# DVC asks who the user is and where the home; without these it ends in a container whose user has no entry in /etc/passwd.
export LOGNAME ?= $(shell id -u)
export HOME ?= $(CURDIR)/.ckpt
ONLY := $(if $(findstring command,$(origin PYTHON)),only)
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

.DEFAULT_GOAL := help
GROUPS := $(addprefix installed-,run docs export test test-all)
.PHONY: $(GROUPS) help repro experiments studies export docs report test test-all verify audit check plots bench readme \
	graph template lock clean

help:  ## say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What is typed after JOBS= and REV= reaches the program as one word, whatever is in it.
export JOBS REV
repro: installed-run  ## run the pipeline to its last figure and show the results; JOBS=1 runs one stage after the other
	$(BIN)/python -m tools.repro "$$JOBS"
	@$(BIN)/python -m tools.results

studies: installed-run  ## perform the trials of studies.yaml that are missing, an hour and a half for all, and write studies/index.html
	$(BIN)/python -m dvc repro studies/dvc.yaml

export: installed-export  ## write every classifier as ONNX, with a card, to export/
	$(BIN)/python -m dvc repro export/dvc.yaml

docs: installed-docs  ## build the documentation, site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@$(BIN)/python -c 'from pathlib import Path; print(Path("site/index.html").resolve().as_uri())'

# Columns of `dvc exp show`: the parameters, and of hundreds of metrics those that say most.
KEPT := Experiment|State|seed|threads|(?!(params|studies)\.yaml$$)[^/]+\.[^/]+|.*:(final_test_(accuracy|loss)|overfitting_epoch|(pgd_)?accuracy_at_0\.1)
experiments: installed-run  ## show in which parameters and results experiments differ; ALL=1 those of every commit
	@$(BIN)/python -m dvc exp show $${ALL:+--all-commits} --only-changed --md --drop '(?!($(KEPT))$$)'

report: installed-run  ## build report/index.html from metrics/ and plots/, and name it; REV=… compares with a revision
	@if [ -n "$$REV" ]; then $(BIN)/python -m tools.compare "$$REV"; else $(BIN)/python -m dvc repro --single-item report \
	&& $(BIN)/python -c 'from pathlib import Path; print(Path("report/index.html").resolve().as_uri())'; fi

test: check  ## check the code, then run the tests, four minutes
	$(PYTEST)

test-all: installed-test-all check  ## the same with the slow tests, a quarter of an hour; writes docs/faults.md
	$(PYTEST) -m "" --write-faults

verify: installed-run  ## run everything again in a clone and compare every output with what is committed
	$(BIN)/python -m tools.verify "$$JOBS"

audit: installed-run .venv/audit  ## ask pip-audit about every package that is pinned
	@PYTHONPATH=.venv/audit $(BIN)/python -m tools.audit

check: installed-test  ## lint, formatting, types and import layers only
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports --no-cache --no-logo

plots: installed-run  ## write dvc_plots/index.html, the curves as an interactive page
	$(BIN)/python -m dvc plots show

bench: installed-test-all  ## measure this project and its peers, twenty minutes; writes benchmarks/results.md
	$(BIN)/python -m benchmarks

readme: installed-run  ## write the tables of results into README.md
	$(BIN)/python -m tools.results README.md

graph: installed-run  ## write docs/graph.svg, which stage needs which, and docs/stages.txt
	$(BIN)/python -m tools.graph
	$(BIN)/python -m dvc stage list dvc.yaml | sed 's/ *$$//' > docs/stages.txt

template: installed-test  ## write .dvc/plots_offline.html, the page of `dvc plots`
	$(BIN)/python -m tools.plots_template

lock: installed-run .venv/uv  ## write constraints.txt, for the oldest Python; UPGRADE=1 takes the newest packages
	UV_FIND_LINKS="$$PIP_FIND_LINKS" .venv/uv/bin/uv pip compile --quiet --python-version 3.11.0 --all-extras --no-header \
	--no-annotate $${UPGRADE:+--upgrade} --output-file constraints.txt pyproject.toml
	@# torch itself pins the packages of CUDA, and its build for the CPU is the same version.
	@sed -i -e 's/+cpu$$//' -e '/^\(cuda-\|nvidia-\|triton=\|setuptools=\)/d' constraints.txt

clean:  ## remove the environment and what tools leave; data, results and DVC's cache stay
	rm -rf .venv .venv.part .pytest_cache .mypy_cache .ruff_cache dvc_plots site

# Tools in folders of their own, where their dependencies meet no others.
.venv/audit .venv/uv: constraints.txt | installed-run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target $@ $(if $(findstring audit,$@),pip-audit,uv)
	@touch $@

$(GROUPS):
	@PATH="$$OUTSIDE" $(PYTHON) -I tools/environment.py $(@:installed-%=%) $(ONLY)
