# Every target sets itself up: on a machine with Python 3.11, its venv module, pip and make, nothing needs to be done first.
PYTHON ?= python3
VENV ?= .venv
OUT ?= out
SUITES ?= demo
WORKERS ?= 2

BIN := $(VENV)/bin
STAMPS := $(VENV)/.walras
SOURCES := setup.cfg pyproject.toml MANIFEST.in README.md LICENSE \
	$(shell find src/walras envs agents algorithms benchmarks -type f -not -path '*/__pycache__/*')
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal

.PHONY: help install demo test test-slow format lint type docs bench report clean
.DEFAULT_GOAL := help

help:  ## say what each target does
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  %-12s%s\n' "$$name" "$$text"; done

install: $(STAMPS)/installed  ## make the environment VENV (.venv) with everything in it, walras installed as a user would

demo: $(STAMPS)/installed  ## quick benchmark over everything that exists: progress, a table and an HTML report in OUT/demo
	@$(BIN)/walras bench run demo --out $(OUT)/demo; ran=$$?; \
	$(BIN)/walras bench report --out $(OUT)/demo; written=$$?; \
	[ $$ran -ne 0 ] || ran=$$written; exit $$ran

test: $(STAMPS)/installed  ## run the tests on the installed package
	$(PYTEST)

test-slow: $(STAMPS)/installed  ## run the tests that take longer: training runs, kill and resume, a new environment
	$(PYTEST) -m slow --timeout 2400

format: $(STAMPS)/dependencies  ## put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: $(STAMPS)/dependencies  ## check form and style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(STAMPS)/dependencies  ## check the types, strictly
	$(BIN)/mypy

docs: $(STAMPS)/installed  ## build the documentation in docs/_build/html; a warning is an error
	rm -rf docs/api docs/_build
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(STAMPS)/installed  ## run SUITES (demo) into OUT/bench; an interrupted run goes on where it stopped
	$(BIN)/walras bench run $(SUITES) --out $(OUT)/bench

report: $(STAMPS)/installed  ## write the HTML report of what `make bench` has measured so far
	$(BIN)/walras bench report --out $(OUT)/bench

clean:  ## remove the environment and everything built; results in OUT stay
	rm -rf $(VENV) build dist src/walras.egg-info docs/_build docs/api .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src envs agents algorithms benchmarks tests docs -name __pycache__ -type d -prune -exec rm -rf {} +

# The pinned dependencies, and walras with them; the slow part, repeated only when the requirements change.
$(STAMPS)/dependencies: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	rm -rf build
	$(BIN)/python -m pip install --quiet --constraint constraints.txt ".[all,dev]"
	mkdir -p $(STAMPS)
	touch $@

# The package alone, repeated when a source changes. `build` would bring back modules that are gone.
$(STAMPS)/installed: $(STAMPS)/dependencies $(SOURCES)
	rm -rf build
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --force-reinstall .
	rm -rf build
	touch $@
