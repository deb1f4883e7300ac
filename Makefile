# Each target installs what it needs into .venv first; see `make help`.
PYTHON ?= python3
BIN := .venv/bin
# The stages' `python` is the one of .venv, which is made from the one of the user's own PATH.
export OUTSIDE := $(subst $(abspath $(BIN)):,,$(PATH))
export PATH := $(abspath $(BIN)):$(PATH)
# With these pip installs into another place, and Python imports from another one or does not end.
unexport PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PYTHONHOME PYTHONPATH PYTHONSAFEPATH PYTHONUSERBASE PYTHONINSPECT
# With these, which a git hook or a stage sets, git and DVC work on another repository.
unexport GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE DVC_ROOT DVC_STAGE
# DVC asks who the user is and where the home; without these it ends in a container whose user has no entry in /etc/passwd.
export LOGNAME ?= $(shell id -u)
export HOME ?= $(CURDIR)/.ckpt
ONLY := $(findstring command,$(origin PYTHON))
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

.DEFAULT_GOAL := help
GROUPS := $(addprefix installed-,run docs onnx studies test test-all)
.PHONY: $(GROUPS) help repro experiments studies export docs report test test-all verify audit check view bench readme \
	graph template lock clean

help:  ## say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What is typed after JOBS= reaches the program as one word, whatever is in it.
export JOBS
repro: installed-run  ## run the pipeline to its last figure and show the results; JOBS=1 runs one stage after the other
	$(BIN)/python -m tools.repro "$$JOBS"
	@$(BIN)/python -m tools.results

studies: installed-studies  ## perform what is missing of studies.yaml, hours for all of it, and write studies/index.html
	$(BIN)/python -m dvc repro studies/dvc.yaml

export: installed-onnx  ## write every classifier as ONNX, with a card, to export/
	$(BIN)/python -m dvc repro export/dvc.yaml

docs: installed-docs  ## build the documentation, site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@$(BIN)/python -c 'from pathlib import Path; print(Path("site/index.html").resolve().as_uri())'

# Columns of `dvc exp show`: the parameters, and of hundreds of metrics those that say most.
KEPT := Experiment|State|seed|threads|(?!(params|studies)\.yaml$$)[^/]+\.[^/]+|.*:(final_test_(accuracy|loss)|overfitting_epoch|(pgd_)?accuracy_at_0\.1)
experiments: installed-run  ## show in which parameters and results experiments differ; ALL=1 those of every commit
	@$(BIN)/python -m dvc exp show $${ALL:+--all-commits} --only-changed --md --drop '(?!($(KEPT))$$)'

PAGES := report/index.html report/lab.html dvc_plots/index.html
view: repro  ## build what is missing, and name the report, the laboratory and the page of the plots
	@$(BIN)/python -m dvc plots show >/dev/null
	@$(BIN)/python -c 'import sys; from pathlib import Path; print(*(Path(each).resolve().as_uri() for each in sys.argv[1:]), sep="\n")' $(PAGES)

report: installed-run  ## build report/index.html from metrics/ and plots/, and name it
	$(BIN)/python -m dvc repro --single-item report
	@$(BIN)/python -c 'from pathlib import Path; print(Path("report/index.html").resolve().as_uri())'

test: check  ## check the code, then run the tests, four minutes
	$(PYTEST)

test-all: installed-test-all check  ## the same with the slow tests, a quarter of an hour; writes test-report.xml
	$(PYTEST) -m "" --junit-xml test-report.xml

verify: installed-run  ## run everything again in a clone and compare every output with what is committed
	$(BIN)/python -m tools.verify "$$JOBS"

audit: installed-run .venv/audit  ## ask pip-audit about every package that is pinned
	@# --strict: a package that the service does not know is an error.
	PYTHONPATH=.venv/audit $(BIN)/python -m pip_audit --strict --requirement constraints.txt --no-deps --disable-pip

check: installed-test  ## lint, formatting, types and import layers only
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy
	PYTHONPATH=src $(BIN)/python -c 'from importlinter.cli import lint_imports_command as main; main()' --no-cache --no-logo

bench: installed-test-all  ## measure this project and its peers, half an hour or more; writes benchmarks/results.md
	$(BIN)/python -m benchmarks

readme: installed-run  ## write the tables of results into README.md
	$(BIN)/python -m tools.results README.md

graph: installed-run  ## write the graph of the stages at the end of docs/pipeline.md
	sed -i '/^```mermaid/,$$d' docs/pipeline.md
	$(BIN)/python -m dvc dag --md --collapse-foreach-matrix dvc.yaml >> docs/pipeline.md

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

# One `make` installs at a time, where there is flock. PYTHON=true: .venv is used as it is.
$(GROUPS):
	@[ "$(PYTHON)" = true ] || $(if $(wildcard /usr/bin/flock),flock .) sh -ec "$$INSTALL_GROUP" make $(@:installed-%=%)

# A group is installed again if pyproject.toml or constraints.txt changed. The environment is made again if a kill left it
# half made, its folder was moved, its Python does not run, or PYTHON= asks for another one.
define INSTALL_GROUP
fail() { echo "ERROR: $$1" >&2; exit 1; }
works() {
    [ "$$(cat .venv/made-by-make)" = "$$(pwd -P)" ] || [ ! -s .venv/made-by-make ] || return
    [ -z "$(ONLY)" ] || [ "$$($(PYTHON) -V)" = "$$(.venv/bin/python -V)" ] || return
    [ ! -e .venv/installing ] && .venv/bin/python -I -c 'import pip'
}
case $$1 in run | onnx | studies)
    why=$$(git rev-parse --git-dir 2>&1) || fail "no git repository here, as in a ZIP, and DVC needs one: get the project with \
'git clone', or make one with 'git init && git add --all && git commit --message Start' ($$why)"
esac
PATH=$$OUTSIDE
requirements=$$($(PYTHON) -I tools/environment.py $$1)
if ! works 2> /dev/null; then
    $(PYTHON) -c 'import ensurepip' 2> /dev/null ||
        fail "this Python has no ensurepip; on Debian and Ubuntu: apt install python3-venv"
    if [ -e .venv ] || [ -L .venv ]; then
        [ -e .venv/made-by-make ] && [ ! -L .venv ] || fail ".venv: make did not make it; remove it, or move it away"
        echo "Making .venv again: it is half made, was made elsewhere, or its Python does not run."
        rm -rf .venv.part
        mv .venv .venv.part
        rm -rf .venv.part
    fi
    echo "Installing into .venv, once: a few minutes."
    mkdir .venv
    pwd -P > .venv/made-by-make
    touch .venv/installing
    $(PYTHON) -m venv .venv
    # With an empty value for each setting of the user's pip.conf with which pip installs into another place.
    printf '[%s]\nuser =\ntarget =\nprefix =\nroot =\npython =\n' global install > .venv/pip.conf
fi
stamp=.venv/installed-$$1
[ ! $$stamp -nt pyproject.toml ] || [ ! $$stamp -nt constraints.txt ] || exit 0
touch .venv/installing
pip() {
    .venv/bin/python -I -m pip install --quiet --disable-pip-version-check "$$@" && return
    [ $$? -gt 128 ] || rm .venv/installing  # after a kill it stays: a package may be there by half
    fail "pip could not install the packages, see above"
}
echo "$$requirements" > .venv/requirements.txt
pip --constraint constraints.txt --requirement .venv/requirements.txt
# torchattacks requires an older `requests` than DVC does, and imports none.
case $$1 in test*) pip --no-deps torchattacks==3.5.1; esac
mv .venv/installing $$stamp
endef
export INSTALL_GROUP
