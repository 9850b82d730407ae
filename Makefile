# Every target sets itself up: `make demo` on a fresh clone needs Python 3.11 and nothing else.
# Another Python: make PYTHON=/path/to/python3.12 test

.DEFAULT_GOAL := help
.SUFFIXES:
.NOTPARALLEL: # the suite uses all cores by itself, and its last line should come last
SHELL := /bin/bash
# Hundreds of processes of the suite import the same modules: what one has compiled is kept for the
# others, where the environment says otherwise, too.
export PYTHONDONTWRITEBYTECODE :=
# One more than there are cores: much of the suite waits for processes and ZooKeepers of its own.
WORKERS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))
PROFILE ?= ci

PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	command -v $$name >/dev/null 2>&1 && \
	$$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && \
	{ echo $$name; break; }; done)
BIN := .venv/bin/python
TEST := HYPOTHESIS_PROFILE=$(PROFILE) $(BIN) -m pytest -n $(WORKERS) --dist loadgroup
COVERED := rpcgen/compiler rpcgen/runtime/wire

.PHONY: help programs fuzz sanitize hammer setup demo demo-zk demo-tasks test suite zookeeper check soak soak-tasks soak-evolution coverage bench bench-full peers generate format lock dist clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with the locked dependencies (done by every other target)
	@$(if $(PYTHON),,echo 'rpcgen needs Python 3.11 or newer with venv, and none was found on PATH:' \
		'install one, or name it: make PYTHON=/path/to/python3.11' >&2; exit 1)
	@$(PYTHON) scripts/setup_environment.py dev

demo: setup ## three servers and a registry: kill one, and calls go on
	@$(BIN) examples/demo.py

demo-zk: setup zookeeper ## the same on a ZooKeeper that it starts
	@$(BIN) examples/demo.py zookeeper

demo-tasks: setup zookeeper ## a queued task outlives its worker, on a ZooKeeper that it starts
	@$(BIN) examples/demo_tasks.py

test: check suite ## the checks and the whole test suite, with coverage

# Each part is held to its own figure, so that one cannot hide behind the other.
suite: setup programs
	$(TEST) --cov --cov-report=term
	@for part in $(COVERED); do \
		$(BIN) -m coverage report --include="$$part/*" --format=total --fail-under=95 \
		| sed "s|.*|coverage of $$part: & % (goal 95)|"; \
		test $${PIPESTATUS[0]} -eq 0 || exit 1; done

zookeeper: setup ## install the ZooKeeper that tests start, if it is missing
	@$(BIN) scripts/install_programs.py zookeeper

programs: setup ## install what tests start: ZooKeeper, Chromium, nginx (done by test)
	@$(BIN) scripts/install_programs.py zookeeper chromium nginx

check: setup ## lint, format, types, and generated code that is up to date
	$(BIN) -m ruff check .
	$(BIN) -m ruff format --check .
	$(BIN) -m mypy
	MYPYPATH=generated $(BIN) -m mypy examples/fleet examples/tasks
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN) -m pyright
	$(BIN) -m rpcgen fmt --check idl
	$(BIN) -m rpcgen lint idl --ignore L001,L014
	$(BIN) -m rpcgen compile --check idl/*.idl -o generated

SECONDS ?= 600
SEED ?= $(shell date +%s)
soak: setup zookeeper ## let servers, registries and links fail at random: make soak SECONDS=600 SEED=1
	@echo "seed $(SEED), $(SECONDS) s on each registry"
	SOAK_SECONDS=$(SECONDS) SOAK_SEED=$(SEED) $(BIN) -m pytest tests/soak/test_discovery.py -n 0

TASKS ?= 10000
soak-tasks: setup zookeeper ## let workers, masters and ZooKeeper fail while tasks run: make soak-tasks TASKS=10000 SEED=1
	@echo "seed $(SEED), $(TASKS) tasks"
	SOAK_TASKS=$(TASKS) SOAK_SEED=$(SEED) $(BIN) -m pytest tests/soak/test_tasks.py -n 0 -s

PAIRS ?= 100000
soak-evolution: setup ## let random versions of interfaces talk: make soak-evolution PAIRS=100000 SEED=1
	@echo "seed $(SEED), $(PAIRS) pairs"
	$(BIN) -m tests.evolution.soak $(PAIRS) $(SEED)

TARGET ?= server_session
# Separate from soak's: a variable that is given holds for whatever is made.
fuzz: SECONDS := $(if $(filter command line,$(origin SECONDS)),$(SECONDS),60)
fuzz: setup ## look for bytes that break a reader: make fuzz TARGET=server_session SECONDS=60 (see fuzz/)
	@$(PYTHON) scripts/setup_environment.py fuzz
	@$(BIN) -m fuzz $(TARGET) --seconds $(SECONDS)

# In CI with a few thousand corrupted messages, here with as many as wanted.
CORRUPTED ?= 20000
sanitize: setup ## test what is in C under ASAN and UBSAN: make sanitize CORRUPTED=1000000
	@RPCGEN_CORRUPTED=$(CORRUPTED) RPCGEN_ROUND_TRIPS=1000 HYPOTHESIS_PROFILE=$(PROFILE) $(BIN) scripts/sanitize.py

hammer: setup ## send 1,000,000 corrupted messages and 200,000 round trips through the codec in C
	RPCGEN_CORRUPTED=1000000 RPCGEN_ROUND_TRIPS=200000 $(BIN) -m pytest tests/runtime/wire/test_native.py -n0 \
		-k "corrupted or leaks"

coverage: setup programs ## the suite, with every line that no test reaches
	$(TEST) --cov --cov-report=term-missing --cov-report=html:build/coverage

bench: setup ## measure all beside floors and peers, in 10 minutes (make peers and zookeeper first)
	@$(BIN) -m benchmarks

bench-full: setup peers zookeeper ## the same with all rounds, and write docs/benchmarks/report.md of it
	@$(BIN) -m benchmarks --full
	@$(BIN) -m benchmarks report

peers: setup ## install the peers that the benchmarks compare with
	@$(PYTHON) scripts/setup_environment.py peers

generate: setup ## translate the templates; compile idl/ into generated/
	$(BIN) -m rpcgen.codegen.translate
	$(BIN) -m rpcgen compile idl/*.idl -o generated

format: setup ## lint what can be mended, and format
	$(BIN) -m ruff check --fix .
	$(BIN) -m ruff format .
	$(BIN) -m rpcgen fmt idl

lock: setup ## write requirements/ anew from pyproject.toml
	@$(BIN) scripts/lock_requirements.py

dist: setup ## build the sdist, and the wheel from it
	$(BIN) -m build --outdir build/dist

clean: ## remove what was made, the environment too
	rm -rf .venv .venv.lock build .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage* *.egg-info
