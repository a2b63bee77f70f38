# The two commands are `make demo` and `make test`; `make` alone lists all. Each installs what it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= $(shell nproc)
DEMO ?= demo
# One more than there are cores: some tests wait for clusters and servers.
TESTERS ?= $(shell echo $$(($(WORKERS) + 1)))

.PHONY: help demo test test-node cluster check unit docs format crds soak setup setup-dev clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: setup ## simulate a Tomo-e exposure, reduce it, look it up and write demo/report.html
	@$(BIN)/gozen demo --folder $(DEMO) --workers $(WORKERS)
	@command -v gozen >/dev/null || echo 'for these commands: export PATH="$(CURDIR)/$(BIN):$$PATH"'

test: setup-dev ## set everything up and run all tests (as root; the first time with apt)
	@[ "$$(id -u)" = 0 ] || echo "== not root: what needs a Kubernetes node is left out; sudo make test runs it"
	@.ci/setup system
	@.ci/setup cluster
	@echo "== the programs of Kubernetes and an S3 server, built once and kept outside the checkout"
	@$(BIN)/python -m tests.cluster.tools
	@echo "== format, lint, types, imports"
	@$(MAKE) --no-print-directory static
	@echo "== tests"
	@$(BIN)/pytest -n $(TESTERS) --dist loadgroup --no-loadscope-reorder tests
	@echo "all tests passed; next: make demo, or read docs/index.md"

test-node: setup-dev ## the tests that need a whole Kubernetes node, alone: images, chart, story, faults, policies (as root)
	@.ci/setup cluster
	@$(BIN)/python -m tests.cluster.tools
	@$(BIN)/pytest -m node --durations=10 tests/cluster
	@echo "all tests of the node passed; next: make cluster"

cluster: setup-dev ## start a real Kubernetes node here, until Ctrl-C (as root)
	@.ci/setup cluster
	@$(BIN)/python -m tests.cluster

check: setup-dev static unit ## format, lint, types, imports and unit tests, in under a minute
	@echo "checked; next: make test"

.PHONY: static
static:
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

unit: setup-dev ## the unit tests alone
	@$(BIN)/pytest -n $(WORKERS) tests/unit

soak: setup-dev ## the long form of the tests that kill, of a failing S3, of random histories: two hours on two cores
	@GOZEN_KILLS=200 GOZEN_FAULT_HISTORIES=1000 $(BIN)/pytest -n $(WORKERS) --dist loadgroup --timeout=7200 --log-cli-level=INFO \
		tests/services/test_killed.py tests/services/test_s3_faults.py
	@GOZEN_HISTORIES=50000 GOZEN_FUZZ=50000 GOZEN_FUZZ_SERVER=2000 GOZEN_CATALOG_HISTORIES=300 $(BIN)/pytest -n $(WORKERS) --dist loadgroup --timeout=7200 \
		tests/property/test_reconcile.py tests/property/test_fuzz_resources.py tests/property/test_catalog_histories.py \
		tests/cluster/test_fuzz_admission.py

format: setup-dev ## format the code and repair what lint can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

crds: setup-dev ## write the CustomResourceDefinitions from the models, into the chart
	@$(BIN)/python -m gozen_operator.crds charts/gozen/files/crds

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
