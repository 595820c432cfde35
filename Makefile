# Everything happens in .venv and .demo, both ignored by git; nothing is installed elsewhere.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A file stays in one process, which then starts each server and makes what a file's tests share once; files start in the
# order in which they are collected, so that the slow ones can be last.
PYTEST = $(BIN)/pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder
PROCESSES = 3
# No test of these takes a tenth of it: a test that waits for ever ends its process, which says where it waited.
NO_HANGING = --max-worker-restart 0 --override-ini faulthandler_timeout=150 --override-ini faulthandler_exit_on_timeout=true

# What can be tested by itself: the folders of tests, wherever they are.
AREAS = $(sort $(shell find pg_migration_tests -mindepth 1 -type d -not -name '__*' -exec basename {} \;))
ifneq ($(AREA),)
  ifeq ($(filter $(AREA),$(AREAS)),)
    $(error there is no area $(AREA); there are: $(AREAS))
  endif
endif

# Tests start many processes, which compile everything anew where this forbids them to keep it.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo ui check test tests test-deployment lint coverage bench chaos clean

help:
	@echo "make demo      migrate a PostgreSQL 16 into a PostgreSQL 18, both started here"
	@echo "make ui        open the Dagster UI on the databases of the demo"
	@echo "make check     lint, check types, run the tests that need no server: seconds"
	@echo "make test      lint, check types, run the tests; make test AREA=transfer runs the tests of that folder alone"
	@echo "make test-deployment  the longer proofs: a deployment's programs, the UI, the demo in a clean folder"
	@echo "make coverage  run all tests, the longer proofs too, and demand that they reach 85 % of the branches"
	@echo "make bench     time migrations by this project and by other tools: make bench ARGUMENTS='--scale 0.1 --jobs 4'"
	@echo "make chaos     let accidents happen to migrations and see that the next run is whole"
	@echo "make clean     stop the demo's servers; delete its data, the virtual environment and caches"
	@echo "Another Python than python3: make demo PYTHON=python3.12"

demo: $(VENV)/installed-demo
	@$(BIN)/python -m pg_migration.devtools.demo run

ui: $(VENV)/installed-demo
	@$(BIN)/python -m pg_migration.devtools.demo ui

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict pg_migration

# Without servers to wait for, two processes are enough.
check: PROCESSES = 2
check: lint
	$(PYTEST) --without-servers --quiet

# The linters run beside the tests: mypy keeps one processor busy, for half a minute where nothing is cached.
test: $(VENV)/installed-dev
	@$(MAKE) --no-print-directory --jobs 2 $(if $(AREA),,lint) tests

tests: $(VENV)/installed-dev
	$(PYTEST) $(NO_HANGING) -m 'not deployment and not longer' $(if $(AREA),$$(find pg_migration_tests -type d -name '$(AREA)'))

test-deployment: $(VENV)/installed-dev
	$(PYTEST) -m 'deployment or longer'

coverage: $(VENV)/installed-dev
	$(PYTEST) --cov

bench: $(VENV)/installed-benchmark
	@$(BIN)/python -m pg_migration.devtools.benchmark $(ARGUMENTS)

chaos: $(VENV)/installed-demo
	@$(BIN)/python -m pg_migration.devtools.chaos $(ARGUMENTS)

# The demo's servers are stopped by the environment that started them.
clean:
	@if [ -e .demo ]; then \
	    [ -x $(BIN)/python ] || { echo "no $(VENV) to stop the servers of .demo with; make demo makes it again"; exit 1; }; \
	    $(BIN)/python -m pg_migration.devtools.demo clean; \
	fi
	rm -rf $(VENV) .engine build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.*
	find pg_migration pg_migration_tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@[ -w . ] || { echo "$(CURDIR) can't be written, and everything is kept there: copy it (cp -r) and run make in the copy"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

# The stamp of an extra: installed since pyproject.toml last changed. Bytecode is compiled here, whatever
# PYTHONDONTWRITEBYTECODE says, because Dagster starts two to three times faster with it. The dash: packages carry a
# few templates that are no valid Python.
$(VENV)/installed-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	-@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib pg_migration >/dev/null 2>&1
	@touch $@
