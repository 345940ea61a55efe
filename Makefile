# Everything a person or CI runs. `make demo` and `make test` do their own set-up; neither needs root.
SHELL := /bin/bash
PYTHON ?= python3
SECONDS ?= 60
VENV := .venv
BIN := $(VENV)/bin
CORE_TESTS := $(addprefix tests/property/,execution test_book.py test_features.py test_risk.py test_state_machines.py) \
	$(addprefix tests/simulation/test_,book_under_faults.py both_cores.py golden_session.py leaving.py networks_beside.py neural_trader_on_engine.py \
	replayed_session.py seeds.py trader_on_engine.py world_model.py) \
	tests/unit/backtest/test_fast.py $(addprefix tests/unit/,binance binance_usdm execution inference market quoting risk trader)
APART := not system and not long and not clients and not ray and not compose
.DEFAULT_GOAL := help

.PHONY: screenshots audit drill load soak test-endurance results help setup environment compile setup-dev setup-tflite setup-clients setup-ray setup-system demo run test test-compiled test-training test-pages test-system test-clients test-ray long lint format bench bench-docs docs lock clean evidence

help: ## what the targets do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# One environment, filled in two steps, so that `make demo` does not wait for TensorFlow.
$(VENV)/.daemon-stamp: requirements/daemon.txt pyproject.toml
	@deploy/scripts/make-environment $(VENV) requirements/daemon.txt --project
	@touch $@

$(VENV)/.dev-stamp: requirements/dev.txt $(VENV)/.daemon-stamp
	@deploy/scripts/make-environment $(VENV) requirements/dev.txt --project
	@touch $@

.venv-tflite/.stamp: requirements/tflite.txt
	@deploy/scripts/make-environment .venv-tflite requirements/tflite.txt
	@touch $@

# Some clients are published as sources only: they are compiled with what the lock file holds.
.venv-clients/.stamp: requirements/clients.txt requirements/clients-source.txt
	@deploy/scripts/make-environment .venv-clients requirements/clients.txt
	@.venv-clients/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --require-hashes -r requirements/clients-source.txt
	@touch $@

.venv-audit/.stamp: requirements/audit.txt
	@deploy/scripts/make-environment .venv-audit requirements/audit.txt
	@touch $@

audit: .venv-audit/.stamp ## known vulnerabilities in what the daemon installs (asks PyPI, where it can be reached)
	@deploy/scripts/audit .venv-audit/bin/python

environment: $(VENV)/.daemon-stamp

setup: environment ## make .venv with what the daemon and the mock exchange need; compile the core where a C compiler is at hand
	@$(BIN)/python deploy/scripts/compile-core --optional

compile: environment ## compile the hot modules to C (into build/core; needs a C compiler and Python's headers)
	@$(BIN)/python deploy/scripts/compile-core

setup-dev: $(VENV)/.dev-stamp ## add what tests, linters and training need

setup-tflite: .venv-tflite/.stamp ## the environment of the tflite-runtime tests (NumPy 1)

setup-clients: .venv-clients/.stamp ## the environment of third-party clients that trade on the mock (needs a C compiler)

.venv-ray/.stamp: requirements/ray.txt
	@deploy/scripts/make-environment .venv-ray requirements/ray.txt --project
	@touch $@

setup-ray: .venv-ray/.stamp ## the environment of sweeps on a Ray cluster

demo: environment ## a mock exchange and the market maker on it, live in the terminal (SECONDS=60)
	@$(BIN)/mmd demo --seconds $(SECONDS) $(ARGS)

test: setup-dev setup-tflite ## every test that needs neither root nor Debian packages
	@$(BIN)/python -m pytest -n 4 --dist worksteal -m "$(APART) and not pages and not training and not compiled" $(ARGS)
	@.venv-tflite/bin/python -m pytest -c deploy/tflite-pytest.ini --rootdir . tests/tflite_runtime
	@echo "left out: 'make test-training' (trainings), 'make test-pages' (the documentation's commands, the wheel), 'make test-compiled' (the core's tests on the compiled core), 'make test-clients' (third-party clients on the mock), 'make test-ray' (a Ray cluster), 'make test-system' (browser, container engine; needs root) and 'make long' (minutes to hours)"

test-training: setup-dev ## trainings of small networks
	@$(BIN)/python -m pytest -n 3 --dist worksteal -m "training and $(APART)" $(ARGS)

test-pages: setup-dev ## the commands that the documentation shows, and the wheel
	@$(BIN)/python -m pytest -n 4 --dist worksteal -m "pages and $(APART)" $(ARGS)

test-compiled: setup-dev compile ## the core's own tests again, on the compiled core
	@MMD_CORE=compiled $(BIN)/python -m pytest -n 4 --dist worksteal -m "$(APART) and not training" $(CORE_TESTS) $(ARGS)

lint: setup-dev ## ruff, mypy --strict and the import contract
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

format: setup-dev ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: setup ## per stage and whole path, as ratios to references measured in the same run
	@$(BIN)/mmd bench $(ARGS)

bench-docs: environment compile ## measure both cores, and write evidence and the table in docs/explanation/performance.md from it (wants a quiet machine)
	@evidence=docs/evidence/bench-$$(date -I); \
	MMD_CORE=pure $(BIN)/mmd bench --write $$evidence-pure.json && MMD_CORE=compiled $(BIN)/mmd bench --write $$evidence-compiled.json && \
	$(BIN)/python -m mmd.benchmark.table docs/explanation/performance.md $$evidence-pure.json $$evidence-compiled.json

results: setup-dev ## every strategy on every real market: docs/results.md (resumable; runs that are kept are not made again)
	@$(BIN)/mmd evidence results $(ARGS)

evidence: setup-dev ## tune every strategy and ablate every head anew, then the results (takes hours; resumable)
	@$(BIN)/mmd evidence tune $(ARGS) && $(BIN)/mmd evidence ablate && $(BIN)/mmd evidence results

.venv-docs/.stamp: requirements/docs.txt
	@deploy/scripts/make-environment .venv-docs requirements/docs.txt
	@touch $@

.PHONY: docs-site wheel
docs-site: .venv-docs/.stamp ## the documentation as a site, in build/site; a warning is an error
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --clean && echo "the site is in build/site"

wheel: setup-dev ## a wheel that `pipx install` takes, in build/wheel
	@$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python -o build/wheel . && ls build/wheel/*.whl

docs: environment ## write the tables that are generated from the code
	@$(BIN)/python -m mmd.reference docs/reference

setup-system: ## Debian packages that the system tests need (root)
	@deploy/scripts/setup-system

.PHONY: test-compose dashboards
test-compose: setup-dev ## docker-compose.yml on a real engine: trade, halt, kill, alert, scrape (CONTAINER_ENGINE starts one)
	@$(BIN)/python -m pytest -m compose tests/containers $(ARGS)

dashboards: setup-dev ## write the Grafana dashboards anew from deploy/grafana/generate.py
	@$(BIN)/python deploy/grafana/generate.py

.PHONY: dashboards-evidence
dashboards-evidence: setup-dev ## every check of rules and dashboards, with what test-compose told: docs/evidence/dashboards.md
	@$(BIN)/python deploy/grafana/evidence.py

test-system: setup-dev ## tests that need those packages
	@$(BIN)/python -m pytest -m "system and not compose" $(ARGS); code=$$?; [ $$code = 5 ] && echo "no system test yet" || exit $$code

screenshots: setup-dev ## the pictures of the operator's page in docs/assets, taken by its tests in a real browser (needs chromium)
	@MMD_SCREENSHOTS=docs/assets $(BIN)/python -m pytest -m system tests/acceptance/test_page.py -k pictures

test-clients: setup-dev setup-clients ## third-party clients' sessions against the mock; WRITE_TABLE=1 writes their table anew
	@$(BIN)/python -m pytest -m clients tests/clients $(ARGS)

test-ray: setup-ray ## a sweep on a Ray cluster of this machine
	@.venv-ray/bin/python -m pytest -m ray tests/ray $(ARGS)

long: setup-dev ## everything that takes longer, some two hours and a half; the tables go to docs/evidence
	@$(BIN)/python -m pytest -m long $(ARGS)
	@$(MAKE) --no-print-directory sim SEEDS=10000
	@$(MAKE) --no-print-directory mutations
	@$(MAKE) --no-print-directory drill KILLS=100
	@$(MAKE) --no-print-directory load FOR=600
	@$(MAKE) --no-print-directory soak FOR=1800

drill: setup-dev ## kill, stop, starve and cut off real processes: docs/evidence/drill.md (KILLS=100: a quarter of an hour)
	@$(BIN)/python -m tests.acceptance.drill --kills $${KILLS:-100} --write docs/evidence/drill.md

load: setup-dev compile ## thousands of messages a second, and halts in between: docs/evidence/load.md (FOR=600 seconds, SPEED=60 times the market's)
	@$(BIN)/python -m tests.acceptance.endurance load --seconds $${FOR:-600} --speed $${SPEED:-60} --write docs/evidence/load.md

test-endurance: setup-dev ## the short forms of load and drill: a minute of load with halts, five kills (some two minutes)
	@$(BIN)/python -m tests.acceptance.endurance load --seconds 60
	@$(BIN)/python -m tests.acceptance.drill --kills 5 --only kill-daemon

soak: setup-dev ## faults drawn at random, and what grows: docs/evidence/soak.md (FOR=1800 seconds)
	@$(BIN)/python -m tests.acceptance.endurance soak --seconds $${FOR:-1800} --write docs/evidence/soak.md

.PHONY: sim mutations fuzz setup-fuzz
sim: setup-dev ## the seeded simulation (SEEDS=10000 writes docs/evidence/sim.md; SEED=n tells the story of one)
	@$(if $(SEED),$(BIN)/python -m mmd.simulation tell $(SEED),$(BIN)/python -m mmd.simulation run $(if $(SEEDS),--seeds $(SEEDS) --write docs/evidence/sim.md))

mutations: setup-dev ## break each safety rule in the simulation and see that it notices: docs/evidence/mutations.md
	@MMD_CORE=pure $(BIN)/python -m mmd.simulation mutations --write docs/evidence/mutations.md

.venv-fuzz/.stamp: requirements/daemon.txt requirements/fuzz.txt
	@deploy/scripts/make-environment .venv-fuzz requirements/daemon.txt
	@deploy/scripts/make-environment .venv-fuzz requirements/fuzz.txt
	@touch $@

setup-fuzz: .venv-fuzz/.stamp ## the environment of the fuzzing (atheris)

fuzz: setup-fuzz ## coverage-guided fuzzing of every decoder of bytes from outside (SECONDS=60 for all together)
	@.venv-fuzz/bin/python -m tests.fuzzing.run_atheris $(SECONDS)

lock: setup-dev ## write the lock files anew from pyproject.toml
	@deploy/scripts/lock $(BIN)/uv

clean: ## remove environments and caches
	rm -rf .venv .venv-fuzz .venv-tflite .venv-clients .venv-audit .venv-docs .venv-ray .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
