# The two commands are `make demo` and `make test`; `make` alone lists all. Each installs what it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= $(shell nproc)
DEMO ?= demo
# Where it is set, as in many containers, each of the thousands of processes compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-all test-data test-node mutants times cluster hub platform check unit docs format crds dask-crds setup setup-dev clean clean-cache

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: setup ## simulate a Tomo-e exposure, reduce it, look it up and write demo/report.html
	@$(BIN)/gozen demo --folder $(DEMO) --workers $(WORKERS)
	@command -v gozen >/dev/null || echo 'for these commands: export PATH="$(CURDIR)/$(BIN):$$PATH"'

test: setup-dev ## set everything up and run every kind of test (as root; the first time with apt)
	@[ "$$(id -u)" = 0 ] || echo "== not root: what needs a Kubernetes node is left out; sudo make test runs it"
	@$(BIN)/python -m tests.suite

test-all: setup-dev ## every test at its full size, in hours; run again, it goes on where it was stopped
	@$(BIN)/python -m tests.suite all

mutants: setup-dev ## show that the tests find the bugs that are seeded for them (a part of test-all)
	@$(BIN)/python -m tests.suite.mutants

test-data: setup-dev ## download the observed data that tests/real needs, as far as they are public, into test-data
	@$(BIN)/python -m tests.suite.public_data

times: ## what the last make test took: by module, build and test
	@$(BIN)/python -m tests.suite.times

test-node: setup-dev ## the tests that need a whole Kubernetes node, alone: images, chart, story, faults, policies (as root)
	@.ci/setup cluster
	@$(BIN)/python -m tests.cluster.tools
	@$(BIN)/pytest -m node --durations=10 tests/cluster
	@echo "all tests of the node passed; next: make cluster"

cluster: setup-dev ## start a real Kubernetes node here, until Ctrl-C (as root)
	@.ci/setup cluster
	@$(BIN)/python -m tests.cluster

# Only what stands on the command line: a variable of the environment must not choose a cluster.
on_line = $(if $(filter command\ line,$(origin $(1))),--$(2) '$($(1))')

platform: setup-dev ## the whole platform on such a node, or in the cluster CONTEXT=NAME, until Ctrl-C (as root)
	@.ci/setup cluster
	@$(BIN)/python -m tests.cluster platform $(call on_line,CONTEXT,context) $(call on_line,LOAD,load) $(call on_line,REGISTRY,registry)

hub: setup-dev ## the science platform here, with two users and the archive of the demo, until Ctrl-C
	@[ -d $(DEMO)/archive/catalogs ] || $(BIN)/gozen demo --folder $(DEMO) --workers $(WORKERS)
	@$(BIN)/gozen --archive $(DEMO)/archive hub --state $(DEMO)/hub --test-login hoshi --test-login sora

check: setup-dev ## format, lint, types, imports and unit tests
	@$(MAKE) --no-print-directory --jobs=2 static unit
	@echo "checked; next: make test"

.PHONY: static
static:
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

unit: setup-dev ## the unit tests alone
	@$(BIN)/pytest -n $(WORKERS) tests/unit

format: setup-dev ## format the code and repair what lint can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

crds: setup-dev ## write the CustomResourceDefinitions from the models, into the chart
	@$(BIN)/python -m gozen_operator.crds charts/gozen/files/crds

dask-crds: setup-dev ## take Dask's CustomResourceDefinitions from its wheel into the chart, for hub.workers
	@$(BIN)/python -m gozen_hub.workers.dask_crds charts/gozen/files/dask-crds

docs: setup-dev ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "the documentation is in site/index.html"

setup: $(VENV)/.ready ## install Gozen into .venv
setup-dev: $(VENV)/.ready-dev ## install Gozen with all that the tests need

$(VENV)/.ready: pyproject.toml constraints.txt
	@.ci/setup python

$(VENV)/.ready-dev: pyproject.toml constraints.txt
	@.ci/setup python dev

clean: ## remove what make made here
	rm -rf $(VENV) $(DEMO) site build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

clean-cache: ## remove what tests keep in ~/.cache/gozen (GOZEN_CACHE): Kubernetes, images; results of QuickDB stay
	@python3 -m tests.suite.cache
