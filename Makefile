# Everything happens in .venv and build/. `make demo` and `make test` set up what they need.

PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install test test-all announce-test announce-test-all lint demo docker-demo bench bench-docker bench-ingest completeness equivalence stress fuzz chaos clean

help:
	@echo "make demo          capture a real program and print how its output was made"
	@echo "make docker-demo   capture jobs in containers of four systems (root, a Docker Engine's programs)"
	@echo "make test          the checks, and the tests that say each thing once (10 minutes; PYTEST=\"tests/unit -x\" for a part)"
	@echo "make test-all      all tests: other libcs, PostgreSQL, a Docker Engine, each instruction (40 minutes; more if root runs it)"
	@echo "make bench         what capturing costs: table and build/bench/overhead.json"
	@echo "make bench-docker  what starting a container costs: table and build/bench/docker.json"
	@echo "make bench-ingest  how fast a sidecar stores, into SQLite and PostgreSQL: table and build/bench/ingest.json"
	@echo "make completeness  how much of what real programs do is captured, by strace's account: build/bench/completeness.json"
	@echo "make equivalence   whole test suites bare and captured, test by test: build/bench/equivalence.json (NAMES=\"tcl perl/*\")"
	@echo "make stress        threads, signals and forks at once, nothing may hang, crash or be lost (rounds=1000): build/bench/stress.json"
	@echo "make fuzz          the readers of what others write, fed with anything (SECONDS=1200, for each; needs clang)"
	@echo "make chaos         faults of every kind, and what the database still knows: build/bench/chaos.json (ROUNDS=300 SEED=1 ONLY=7)"
	@echo "make install       .venv/bin/interpose and the libraries, nothing else"
	@echo "make clean         remove build/ and .venv"

# The group [dependency-groups] build and check of pyproject.toml are installed by name, so that versions stand once.
groups = $(PYTHON) -c 'import sys, tomllib; groups = tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]; print("\n".join(r for name in sys.argv[1:] for r in groups[name]))'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "interpose needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "no usable venv module: install python3-venv, or use another PYTHON" >&2; exit 1; }

.venv/.installed: pyproject.toml generator/hatch_build.py | $(BIN)/python
	@echo "installing into .venv"
	@$(groups) build > .venv/build.txt
	@$(BIN)/pip install --quiet --requirement .venv/build.txt
	@$(BIN)/pip install --quiet --no-build-isolation --editable .
	@touch $@

.venv/.checks: .venv/.installed
	@$(groups) check > .venv/check.txt
	@$(BIN)/pip install --quiet --requirement .venv/check.txt
	@touch $@

SOURCES := $(shell find generator libinterpose protos sidecar/native -type f -not -name '*.pyc' -not -path '*/build/*')

build/.built: .venv/.installed $(SOURCES)
	@$(BIN)/python -m interpose.generator build > build/libraries.txt
	@touch $@

install: build/.built

lint: build/.built .venv/.checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Said before anything is installed.
announce-test announce-test-all: announce-%:
	@$(PYTHON) tests/support/tiers.py $*

test: announce-test lint
	$(BIN)/python -m pytest -m "not matrix and not slow" $(PYTEST)

test-all: announce-test-all lint
	$(BIN)/python -m pytest $(PYTEST)

demo: build/.built
	@$(BIN)/python tests/demo.py

docker-demo: build/.built .venv/.checks
	@PYTHONPATH=tests $(BIN)/python tests/docker_demo.py

bench: build/.built .venv/.checks
	$(BIN)/python tests/bench/overhead.py

bench-docker: build/.built .venv/.checks
	PYTHONPATH=tests $(BIN)/python tests/bench/containers.py

bench-ingest: build/.built .venv/.checks
	PYTHONPATH=tests $(BIN)/python tests/bench/ingest.py

completeness: build/.built .venv/.checks
	PYTHONPATH=tests $(BIN)/python -m completeness

equivalence: build/.built .venv/.checks
	PYTHONPATH=tests $(BIN)/python -m equivalence $(NAMES)

rounds ?= 1000
stress: build/.built .venv/.checks
	PYTHONPATH=tests $(BIN)/python -m stress --rounds $(rounds)

chaos: build/.built .venv/.checks
	PYTHONPATH=tests $(BIN)/python -m chaos $(ROUNDS:%=--rounds %) $(SEED:%=--seed %) $(ONLY:%=--only %)

.venv/.fuzz: .venv/.checks
	@$(groups) fuzz > .venv/fuzz.txt
	@$(BIN)/pip install --quiet --requirement .venv/fuzz.txt
	@touch $@

fuzz: build/.built .venv/.fuzz
	PYTHONPATH=tests $(BIN)/python -m fuzz $(SECONDS:%=--seconds %)

clean:
	rm -rf build .venv
