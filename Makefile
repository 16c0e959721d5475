# `make help` lists the targets. Everything happens in .venv and Cargo's target directory; a step
# whose inputs did not change is not run again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# A cargo build and its tests take both cores of a small machine: do not run targets side by side.
.NOTPARALLEL:
.DEFAULT_GOAL := help

EXTENSION := python/rust_ai_core/_core.abi3.so
# Folders are listed too: their times change when a file goes.
RUST_SOURCES := Cargo.toml Cargo.lock rust-toolchain.toml \
	$(wildcard crates/*/Cargo.toml) $(shell find crates/*/src)

# A stamp outlives what it stands for when somebody deletes the module alone.
ifeq ($(wildcard $(EXTENSION)),)
$(shell rm -f $(VENV)/extension.stamp)
endif

.PHONY: help demo test lint format bench bench-ann bench-storage fuzz develop clean test-rust test-python

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: develop  ## ingest some thousands of real documents and ask five questions
	$(BIN)/python examples/demo.py

test: test-rust test-python  ## run all tests

test-rust:  ## run the tests of the Rust crates
	cargo test --locked --workspace --profile bench

test-python: develop  ## run the tests of the Python package
	$(BIN)/pytest

fuzz:  ## crash random histories and fuzz what reads files, FUZZ_SECONDS (60) for each target
	scripts/fuzz.sh

lint: develop  ## check formats, lints, types and stubs; edits nothing
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --profile bench -- -D warnings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest rust_ai_core._core

format:  $(VENV)/tools.stamp  ## put all sources into the project's format
	cargo fmt --all
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: develop $(VENV)/bench.stamp  ## measure against peers, see benchmarks/README.md
	$(BIN)/python -m benchmarks

bench-ann: develop $(VENV)/bench.stamp $(VENV)/bench-ann.stamp  ## measure vector search against its peers
	$(BIN)/python -m benchmarks ann

bench-storage: develop $(VENV)/bench.stamp $(VENV)/bench-storage.stamp  ## measure writing and opening against peers
	$(BIN)/python -m benchmarks storage

bench-words: develop $(VENV)/bench.stamp $(VENV)/bench-words.stamp  ## measure search by words against its peers
	$(BIN)/python -m benchmarks text_search

develop: $(VENV)/extension.stamp  ## build the extension (release) and install into .venv

clean:  ## remove .venv, the built extension and Cargo's target directory
	rm -rf $(VENV) $(EXTENSION) dist
	cargo clean

$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo 'Python 3.10 or later is needed: make PYTHON=python3.x' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	touch $@

$(VENV)/tools.stamp: $(VENV)/python.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

$(VENV)/bench.stamp: $(VENV)/tools.stamp
	$(BIN)/python -m pip install --quiet --group bench
	touch $@

$(VENV)/bench-ann.stamp: $(VENV)/tools.stamp
	$(BIN)/python -m pip install --quiet --group bench-ann
	touch $@

$(VENV)/bench-storage.stamp: $(VENV)/tools.stamp
	$(BIN)/python -m pip install --quiet --group bench-storage
	touch $@

$(VENV)/bench-words.stamp: $(VENV)/tools.stamp
	$(BIN)/python -m pip install --quiet --group bench-words
	touch $@

$(VENV)/extension.stamp: $(VENV)/tools.stamp $(RUST_SOURCES) README.md LICENSE
	PIP_QUIET=1 $(BIN)/maturin develop --release --locked
	touch $@
