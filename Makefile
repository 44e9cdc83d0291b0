# The project's commands. All that they make stays inside this folder and is ignored by git.
# Variables reach the programs: make run PORT=9000 KAPELLE_LOG_LEVEL=debug; PYTHON chooses the interpreter.

MAKEFLAGS += --no-print-directory --no-builtin-rules
SHELL := /bin/sh
APP ?= question_search
SCENARIO ?= tiny
script := @exec sh scripts/python.sh -m

.DEFAULT_GOAL := help
.PHONY: help run update-demo test check fix environment coverage bench clean

help:  ## Show this list
	@awk -F '  ## ' '/^[a-z-]+:.*  ## / { sub(/:.*/, "", $$1); printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run:  ## Install, build the model and the index, serve; APP=question_search PORT=8080
	$(script) scripts.run "$(APP)" $(ARGS)

update-demo:  ## Publish a release under load, then a broken one, then go back; ARGS="--seconds 10 --rate 100"
	$(script) scripts.update_demo $(ARGS)

test:  ## All that CI checks: style, types, import directions, tests
	$(script) scripts.check

check:  ## The quick part of it: all but the tests
	$(script) scripts.check --fast

fix: environment  ## Mend what ruff can mend, and format
	@.venv/bin/ruff check --fix-only
	@.venv/bin/ruff format

environment:  ## Make .venv with the package and all tools, ready to work in
	$(script) scripts.prepare

coverage: environment  ## Run the tests and show which lines of the package they miss
	@.venv/bin/coverage erase
	@.venv/bin/coverage run -m pytest
	@.venv/bin/coverage combine --quiet
	@.venv/bin/coverage report

bench: environment  ## Measure Kapelle beside its peers; SCENARIO=tiny ARGS="--rounds 5"
	@.venv/bin/python benchmarks/install_peers.py
	@.venv/bin/python benchmarks/$(if $(filter publish hop batching,$(SCENARIO)),$(SCENARIO).py,run.py $(SCENARIO)) $(ARGS)

clean:  ## Remove all that these commands made
	rm -rf .venv .make.lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*
	rm -rf .kapelle apps/*/.kapelle apps/*/artifacts apps/*/.artifacts.* benchmarks/.peers benchmarks/.search dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
