# The one way to do anything here: the shell, the commit hook and CI all call these targets.
# A fresh machine needs Python 3.10 or later with venv, git and make.

PYTHON ?= python3
ARGS ?=
OUT ?= runs/mnist

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BYTECODE := $(VENV)/.bytecode
SOURCES := $(wildcard src tests docs/site scripts benchmarks examples)

# Quiet twice: errors, but no warnings about how pip is configured here.
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip --quiet --quiet
# pip would take half a minute to make bytecode on one core; all cores make it beside the checks.
INSTALL := $(PIP) install --no-compile --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help env format lint types layers check quick test exhaustive gpu mnist ledger docs hooks constraints clean distclean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

env: $(STAMP) ## Make .venv with everything pinned; does nothing when it is up to date

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "schuss needs Python 3.10 or later, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1);" \
			"name another: make env PYTHON=python3.12" >&2; exit 1; }
	@echo "[1/4] $(VENV), with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@echo "[2/4] the build backends: ours, and that of packages without a wheel"
	@$(INSTALL) hatchling setuptools
	@echo "[3/4] torch and the tools, pinned in constraints.txt (up to a few minutes)"
	@$(INSTALL) --no-build-isolation --editable '.[dev]'
	@echo "[4/4] labml-nn and timm, without their own requirements"
	@$(INSTALL) --no-deps labml-nn timm
	@touch $@
	@echo "done: make check, make test, or $(BIN)/schuss"

# A half of what is installed is never imported here. Some files are templates, and do not compile.
$(BYTECODE): $(STAMP)
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests?/|/transformers/models/' $(VENV)/lib || true
	@touch $@

format: $(STAMP) ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix-only --quiet $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

lint: $(STAMP) ## Check format and style
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

types: $(STAMP) ## Check types
	$(BIN)/mypy $(SOURCES)

layers: $(STAMP) ## Check that imports point one way
	$(BIN)/lint-imports --no-logo

check: $(STAMP) ## All three checks
	@$(MAKE) --no-print-directory --jobs=2 lint types layers $(BYTECODE)

# As many processes as there are cores, which share kernels that are compiled.
APART := --numprocesses auto --maxprocesses 4 --dist worksteal

quick: check ## The checks, and the tests that touch what has changed since main: 90 seconds
	$(BIN)/python -m tests.quick $(APART) $(ARGS)

test: check ## The checks, then all tests: 10 minutes; ARGS are pytest's
	$(BIN)/pytest $(APART) $(ARGS)

exhaustive: check ## The same over all combinations of options, precisions and engines: more than an hour
	SCHUSS_TESTS=exhaustive $(BIN)/pytest $(APART) $(ARGS)

# A machine with a GPU may have its own torch and Triton, and no way to install others.
gpu: ## Try kernels on the GPU of this machine: 8 minutes; ARGS=--rehearse goes without one
	@for python in $(PYTHON) $(wildcard $(BIN)/python); do \
		if PYTHONPATH=src:. $$python -m tests.gpu.ready $(ARGS); then \
			PYTHONPATH=src:. exec $$python -m tests.gpu $(ARGS); fi; done; \
	echo "nothing was tried: make gpu needs a Python that has torch, Triton, Numba and pytest, and" \
		"a GPU that its torch sees; name one (make gpu PYTHON=...), or go through it in small" \
		"without a GPU (make env, make gpu ARGS=--rehearse)" >&2; exit 1

# Threads that wait without spinning take half the time on a machine that has other work to do.
mnist: $(STAMP) ## Train on MNIST into OUT (runs/mnist); ARGS are schuss mnist's
	OMP_WAIT_POLICY=passive $(BIN)/schuss mnist --out $(OUT) $(ARGS)

ledger: $(STAMP) ## Run every optimizer against its reference anew, and write docs/ledger.md
	$(BIN)/python -m tests.ledger

docs: $(STAMP) ## Build the site into build/docs: half a minute
	$(BIN)/python -m docs.site build/docs

hooks: $(STAMP) ## Run the checks before every commit
	$(BIN)/pre-commit install

constraints: ## Pin everything anew to its latest release; torch, labml-nn and timm stay as they are
	mkdir -p build
	$(PYTHON) -m venv build/uv
	build/uv/bin/python -m pip --quiet install uv
	grep -E '^(torch|labml-nn|timm)==' constraints.txt > build/kept.txt
	build/uv/bin/uv pip compile --universal --python-version 3.10 --upgrade --all-extras \
		--constraint build/kept.txt --no-header --no-annotate --quiet \
		--output-file build/pins.txt pyproject.toml
	{ grep '^#' constraints.txt; grep -E '^(labml-nn|timm)==' build/kept.txt; cat build/pins.txt; } \
		> build/constraints.txt
	mv build/constraints.txt constraints.txt

clean: ## Remove what checks, tests and builds left
	rm -rf build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(SOURCES) -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## Remove the environment too
	rm -rf $(VENV)
