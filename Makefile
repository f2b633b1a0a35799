# Every target makes the environment first, so each one works in a bare clone.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Packages of extras in pyproject.toml are installed by the first target that needs them.
WITH_APP := $(VENV)/.ready-app
WITH_TOOLS := $(VENV)/.ready-dev
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

ifneq ($(UV),)
packages = UV_COMPILE_BYTECODE=1 "$(UV)" pip install --quiet --python $(BIN)/python --require-hashes -r $(1)
else
packages = $(BIN)/python -m pip install --quiet --disable-pip-version-check --compile --require-hashes -r $(1)
endif

.PHONY: help install tools run up test lint bench lock clean
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
	$(call packages,requirements.lock)
	"$(UV)" pip install --quiet --python $(BIN)/python --reinstall-package movierec-assets --no-build-isolation --no-deps -e .
else
	"$(PYTHON)" -m venv $(VENV) || { echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu 'apt-get install python3-venv' provides it." >&2; exit 1; }
	$(call packages,requirements.lock)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
endif
	$(BIN)/python -m movierec_assets.host.scripts
	$(BIN)/python -m compileall -q movierec_assets
	@touch $@

$(WITH_APP) $(WITH_TOOLS): $(VENV)/.ready-%: requirements-%.lock $(READY)
	$(call packages,$<)
	$(BIN)/python -m movierec_assets.host.scripts
	@touch $@

tools: $(WITH_TOOLS) ## add the tools of development to the environment: pytest, mypy, ruff, dg

run: $(READY) ## load the ratings, train, evaluate, promote and recommend (ARGS="--dataset ml-20m")
	$(MOVIEREC) run $(ARGS)

up: $(WITH_APP) ## Postgres, MLflow, Dagster webserver and daemon; one Ctrl-C stops all
	$(MOVIEREC) up $(ARGS)

# Types are checked beside the first tests. A worker more than processors, because tests wait for servers and databases.
# Not reordered, so that fast tests come first on every worker. Waiting threads must not spin: tests run in parallel, and
# a fit took twice as long on a busy machine.
test: $(WITH_TOOLS) ## lint, types and every test (ARGS='-m "not slow"' for the fast ones)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/python -m mypy >$(VENV)/mypy.log 2>&1 & types=$$!; trap "kill $$types 2>/dev/null" EXIT; \
	OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --maxprocesses 4 \
	  --dist loadscope --no-loadscope-reorder $(ARGS); tests=$$?; \
	wait $$types; typed=$$?; cat $(VENV)/mypy.log; exit $$((tests > typed ? tests : typed))

lint: $(WITH_TOOLS) ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy

bench: $(WITH_TOOLS) ## time and memory of the graph, the original recipe and a bare fit (ARGS="--scale ml-20m")
	$(BIN)/python -m movierec_tests.benchmarks $(ARGS)

# The largest set is resolved first; the others are parts of it.
LOCK := uv pip compile pyproject.toml --extra build --universal --python-version 3.11 --no-strip-extras --generate-hashes \
  --no-annotate --no-header --quiet
lock: $(READY) ## refresh the lock files from pyproject.toml (needs uv)
	$(LOCK) --extra app --extra dev -o requirements-dev.lock
	$(LOCK) --extra app -c requirements-dev.lock -o requirements-app.lock
	$(LOCK) -c requirements-dev.lock -o requirements.lock

# Of `host/env_file.py`; a test compares them.
ENV_LINES := MOVIEREC_ENV_FILE DAGSTER_HOME MOVIEREC_DAGSTER_URL MOVIEREC_DAGSTER_FILES \
  MOVIEREC_EMBEDDED_DATABASE_URL MOVIEREC_STATE_DIR OPENBLAS_NUM_THREADS
space := $(subst ,, )
clean: ## stop the embedded database and remove everything made here: environment, state, caches
	@if [ '$(WORKS)' = yes ]; then MOVIEREC_DATABASE_URL= $(MOVIEREC) db destroy --yes; \
	else bash movierec_assets/host/clean.sh "$${MOVIEREC_STATE_DIR:-.movierec}"; fi
	@if [ -f .env ]; then \
	  umask 077; LC_ALL=C grep -avE '^(# The lines below are kept up by|($(subst $(space),|,$(ENV_LINES)))=)' .env >.env.own; \
	  [ $$? -lt 2 ] && [ -f .env.own ] || { rm -f .env.own; echo "Your own lines of .env cannot be written to .env.own; .env stays." >&2; exit 1; }; \
	  if grep -q '[^[:space:]]' .env.own; then mv .env.own .env; echo "Your own lines stay in .env."; \
	  else rm -f .env .env.own; fi; fi
	rm -rf $(VENV) .movierec build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f movierec_assets/recsys/native/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
