# make demo | test | lint | bench | wheel: each installs the package into .venv first.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2
RUST_SOURCES := $(shell find native -name target -prune -o \( -name '*.rs' -o -name 'Cargo.*' \) -print)
# The Rust toolchain that .ci/prerequisites found or fetched.
RUST_ENV = if [ -f $(VENV)/rust.env ]; then . $(VENV)/rust.env; fi

.PHONY: help demo test lint cargo-test pytest test-kernels limits-guest test-kills soak bench record wheel native clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: demo-prerequisites $(VENV)/.installed ## builds examples/hello and shows every step
	@PATH="$(abspath $(BIN)):$$PATH" examples/hello/demo.sh

test: test-prerequisites lint cargo-test pytest ## everything: lint, types, Rust tests, Python tests

.PHONY: demo-prerequisites test-prerequisites kernels-prerequisites
demo-prerequisites test-prerequisites kernels-prerequisites: %-prerequisites:
	@.ci/prerequisites $*

$(BIN)/python:
	@.ci/prerequisites build
	"$$(.ci/prerequisites python)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.tools: pyproject.toml | $(BIN)/python
	.ci/prerequisites rust $(VENV) > $(VENV)/rust.env
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

# An editable install: Python changes show at once, Rust changes after `make native`.
$(VENV)/.installed: pyproject.toml $(RUST_SOURCES) | $(VENV)/.tools
	$(RUST_ENV); . $(BIN)/activate; maturin develop --release --quiet
	@touch $@

native: $(VENV)/.installed ## rebuilds the Rust half, a few seconds after the first time

lint: $(VENV)/.installed ## format, lint, types, stubs, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest fswatch_builder._native
	$(BIN)/lint-imports
	$(RUST_ENV); cd native && cargo fmt --check && cargo clippy --quiet --all-targets -- -D warnings

cargo-test: $(VENV)/.installed
	$(RUST_ENV); cd native && cargo test --quiet -p fswb-core

pytest: $(VENV)/.installed
	$(BIN)/pytest -n $(JOBS) --dist worksteal

PROGRAMS ?= 5000
soak: $(VENV)/.installed ## PROGRAMS more random programs, in .cache/soak/log what came of all so far
	nice -n 19 $(BIN)/python -m tests.soak --programs $(PROGRAMS) $(SOAK)

test-kernels: kernels-prerequisites $(VENV)/.installed ## tests in virtual machines with Debian's Linux 6.1 and 6.12
	$(BIN)/python -m tests.guest $(KERNELS)

limits-guest: kernels-prerequisites $(VENV)/.installed ## what limits may measure in a virtual machine only, with Debian's kernels
	$(BIN)/python -m tests.guest $(KERNELS) -- tests/guest/limits_in_guest.py

KILLS ?= 200
test-kills: $(VENV)/.installed ## KILLS users of a store are killed at random moments, and it has to be whole; SEED=N for others
	KILLS=$(KILLS) $(BIN)/pytest tests/faults/test_store_kills.py

record: $(VENV)/.installed ## the recorded page, its figure and the README's table of costs: 30 quiet minutes, as root
	$(BIN)/python -m benchmarks --directory /dev/shm --record tmpfs
	$(BIN)/python -m benchmarks report --directory /dev/shm --record bench

bench: $(VENV)/.installed ## the measurements in benchmarks/, against whatever peers are installed
	$(BIN)/python -m benchmarks

wheel: $(VENV)/.tools ## a wheel in dist/
	$(RUST_ENV); . $(BIN)/activate; maturin build --release --out dist

clean: ## removes what was built
	rm -rf $(VENV) dist native/target fswatch_builder/*.so .mypy_cache .ruff_cache .pytest_cache .hypothesis
