## make quickstart   set up, then the whole loop on the Al3O node; prints where the report is. Repeating resumes.
## make test         set up, then all tests, two at a time. make test ARGS="tests/gcmc -x" JOBS=0
## make setup        the set-up alone: .venv with pinned versions. Quick when it is done already.
## make lint         style, types and the direction of imports.
#
## PYTHON=/path/to/python3.11 chooses the interpreter; WORKDIR=dir the folder of the quickstart.

PYTHON ?= python3
WORKDIR ?= quickstart
ARGS ?=
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.alh2-ready
PARAM := param/quickstart.json
MACHINE := machines/local.json

.DEFAULT_GOAL := help
.PHONY: help setup quickstart test lint format force

help:
	@sed -n 's/^## //p' Makefile

# The stamp is older than its inputs: install again. The environment does not work (moved, Python upgraded, half
# removed): install again too.
ifneq ($(shell $(BIN)/python -I .ci/environment_works.py 2>/dev/null),yes)
$(STAMP): force
endif
$(STAMP): pyproject.toml constraints.txt .ci/setup
	@sh .ci/setup "$(PYTHON)" "$(VENV)" "$(STAMP)"

setup: $(STAMP)
	@echo "ready: $(BIN)/alh2 --help"

quickstart: $(STAMP)
	@$(BIN)/alh2 check $(PARAM) $(MACHINE)
	@code=0; $(BIN)/alh2 run $(PARAM) $(MACHINE) --workdir "$(WORKDIR)" || code=$$?; \
	page="$$(cd "$(WORKDIR)" && pwd)/report/index.html"; \
	if [ -f "$$page" ]; then echo "the report is at $$page"; fi; exit $$code

test: $(STAMP)
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadscope --durations=20 $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
