# Every target makes the environment first, so each one works in a bare clone.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# After a rename or copy of this directory, .venv belongs to another one. Its Python may be gone, too.
CHECK := import importlib.util as u, os; s = u.find_spec("movierec_assets"); \
  print("yes" if s and os.path.samefile(os.path.dirname(os.path.dirname(s.origin)), ".") else "no")
WORKS := $(shell $(BIN)/python -I -c '$(CHECK)' 2>/dev/null)
# The first interpreter on the PATH that the lock file was made for; PYTHON=... overrides it.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(if $(shell $(p) -c 'import sys; print(1 if (3,11) <= sys.version_info < (3,14) else "")' 2>/dev/null),$(p),)))
# Not the script `movierec`: odd characters in the path break its first line, which names the interpreter.
MOVIEREC := $(BIN)/python -m movierec_assets.cli
UV := $(shell command -v uv 2>/dev/null)
ARGS ?=

.PHONY: help install run up test lint bench lock clean
help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(READY) ## make the environment in .venv from the lock file

ifneq ($(WORKS),yes)
.PHONY: $(READY)
endif
$(READY): requirements.lock pyproject.toml $(wildcard movierec_assets/recsys/native/*.[ch])
	@if [ '$(WORKS)' != yes ] && { [ -e $(VENV) ] || [ -L $(VENV) ]; }; then \
	  echo "The environment in .venv does not work in this directory (renamed, copied, or its Python is gone): it is made anew."; \
	  rm -rf $(VENV); \
	fi
	@test -n "$(PYTHON)" || { echo "movierec needs Python 3.11 to 3.13 on the PATH; name one with 'make PYTHON=/path/to/python3.12 ...'." >&2; exit 1; }
ifneq ($(UV),)
	"$(UV)" venv --quiet --allow-existing --python "$(PYTHON)" $(VENV)
	UV_COMPILE_BYTECODE=1 "$(UV)" pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	"$(UV)" pip install --quiet --python $(BIN)/python --reinstall-package movierec-assets --no-build-isolation --no-deps -e .
else
	"$(PYTHON)" -m venv $(VENV) || { echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu 'apt-get install python3-venv' provides it." >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --compile --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
endif
	$(BIN)/python -m movierec_assets.host.scripts
	$(BIN)/python -m compileall -q movierec_assets
	@touch $@

run: $(READY) ## load the ratings, train, evaluate, promote and recommend (ARGS="--dataset ml-20m")
	$(MOVIEREC) run $(ARGS)

up: $(READY) ## Postgres, MLflow, Dagster webserver and daemon; one Ctrl-C stops all
	$(MOVIEREC) up $(ARGS)

# Not reordered, so that fast tests come first on every worker. Waiting threads must not spin: tests run in parallel, and
# a fit took twice as long on a busy machine.
test: lint ## lint, types and every test (ARGS='-m "not slow"' for the fast ones)
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder $(ARGS)

lint: $(READY) ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy

bench: $(READY) ## time and memory of the graph, the original recipe and a bare fit (ARGS="--scale ml-20m")
	$(BIN)/python -m movierec_tests.benchmarks $(ARGS)

lock: $(READY) ## refresh requirements.lock from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra dev --extra app --universal --python-version 3.11 --no-strip-extras \
	  --generate-hashes --no-annotate --no-header --quiet -o requirements.lock

clean: ## stop the embedded database and remove everything made here: environment, state, caches
	@if [ '$(WORKS)' = yes ]; then MOVIEREC_DATABASE_URL= $(MOVIEREC) db destroy --yes; \
	else bash movierec_assets/host/clean.sh "$${MOVIEREC_STATE_DIR:-.movierec}"; fi
	rm -rf $(VENV) .movierec .env build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f movierec_assets/recsys/native/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
