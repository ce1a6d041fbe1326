# The commands of the README. Everything that they need is installed or built on the way.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The tests mostly wait for other processes, so more of them run at once than there are cores; each has a control plane.
TEST_PROCESSES ?= 4
EPISODES ?= 1000
WORKERS ?= 1
FAULTS ?= 1
KILLS ?= 500
BENCH := benchmarks/results
STAMP := $(VENV)/.installed
SOURCES := operator devenv tests benchmarks

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(STAMP): pyproject.toml requirements/dev.txt
	@echo "installing the locked requirements into $(VENV)" >&2
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed; set PYTHON=") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: install
install: $(STAMP) ## Create the virtual environment from the hashed locks

.PHONY: binaries
binaries: $(STAMP) ## Find or build kube-apiserver, etcd, kubectl, Helm, kubeconform, kustomize-controller (once per machine)
	$(BIN)/python -m dispersed_devenv binaries
	$(BIN)/python -m dispersed_devenv tools
	$(BIN)/python -m dispersed_devenv flux

.PHONY: demo
demo: $(STAMP) ## The whole story on a real Kubernetes API, told step by step
	$(BIN)/python -m dispersed_devenv demo

.PHONY: up
up: $(STAMP) ## Start control plane, simulator and operator and leave them running
	$(BIN)/python -m dispersed_devenv up

.PHONY: status
status: $(STAMP) ## Say what of it runs
	$(BIN)/python -m dispersed_devenv status

.PHONY: down
down: $(STAMP) ## End what `make up` started
	$(BIN)/python -m dispersed_devenv down

.PHONY: test
test: lint binaries ## Everything that CI runs
	$(BIN)/pytest --numprocesses $(TEST_PROCESSES) --dist loadfile

.PHONY: unit
unit: $(STAMP) ## The tests that need no other process
	$(BIN)/pytest tests/unit

.PHONY: lint
lint: $(STAMP) ## Style, types, import contracts, generated files
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -W error -c 'import dispersed_operator.app, dispersed_operator.cli, dispersed_simulator.app, dispersed_devenv.cli'
	$(BIN)/python -m dispersed_operator.model.crd --check --docs docs/resources.md crds
	$(BIN)/python -m dispersed_devenv.chart --check

.PHONY: chaos
chaos: $(STAMP) ## Random episodes with faults and kills on a virtual clock; EPISODES=, WORKERS=, goes on where it stopped
	$(BIN)/python -m tests.simulation.chaos --episodes $(EPISODES) --workers $(WORKERS) --resume benchmarks/results/chaos.json

.PHONY: chaos-real
chaos-real: binaries ## Kills of real processes on a real control plane; KILLS=
	$(BIN)/python -m tests.chaos_real --kills $(KILLS) --result benchmarks/results/chaos-real.json

$(VENV)/.bench: $(STAMP) requirements/bench.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/bench.txt
	@touch $@

.PHONY: bench
bench: binaries $(VENV)/.bench ## Compare with two rivals at a small size; fails if a ratio fell below half of what is recorded
	@mkdir -p build
	$(BIN)/python -m benchmarks run --window 45 --result build/bench.json
	$(BIN)/python -m benchmarks report build/bench.json
	$(BIN)/python -m benchmarks gate build/bench.json benchmarks/recorded.json

.PHONY: bench-full
bench-full: binaries $(VENV)/.bench ## All scenarios at 100 to 10,000 resources, for hours; goes on where it stopped
	$(BIN)/python -m benchmarks run --full --resume --result $(BENCH)/bench-full.json
	$(BIN)/python -m benchmarks report $(BENCH)/bench-full.json --page docs/benchmarks.md

.PHONY: explore
explore: $(STAMP) ## Every interleaving of two operators over one resource, with FAULTS= faults
	$(BIN)/python -m tests.exploration --faults $(FAULTS)

.PHONY: generate
generate: $(STAMP) ## Write the CRDs, the generated pages and the generated parts of the chart anew
	$(BIN)/python -m dispersed_operator.model.crd --docs docs/resources.md crds
	$(BIN)/python -m dispersed_devenv.chart
	$(BIN)/python -m dispersed_operator.telemetry.tables docs
	$(BIN)/python -m dispersed_devenv.simulator_page docs/simulator.md
	$(BIN)/python -m tests.support.failure_modes docs
	$(BIN)/python -m dispersed_devenv.argocd manifests/argocd

.PHONY: image
image: $(STAMP) ## Build the image without a container engine and look at it; needs root, buildah, debootstrap
	$(BIN)/python -m dispersed_devenv.image

.PHONY: sbom
sbom: ## Write dist/dispersed-operator.cdx.json: what is in the image, from the lock
	@mkdir -p dist
	@$(PYTHON) -m venv build/release
	@build/release/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/release.txt
	build/release/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON \
	  --output-file dist/dispersed-operator.cdx.json requirements/operator.txt

.PHONY: lock
lock: $(STAMP) ## Resolve the requirements anew, with hashes and without index addresses
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --quiet --output-file requirements/operator.txt
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file requirements/dev.txt
	$(BIN)/uv pip compile pyproject.toml --extra release --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file requirements/release.txt
	$(BIN)/uv pip compile pyproject.toml --extra bench --constraint requirements/dev.txt --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements/bench.txt

.PHONY: clean
clean: ## Remove the virtual environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist
