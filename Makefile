# make run: the bot on the embedded venue.  make test: the whole test suite.  Both build .venv/
# first, from hash-locked requirements; a second time nothing is left to do.  No root needed.
VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip --disable-pip-version-check -qq install --require-hashes
RUN_READY := $(VENV)/.run-ready
TEST_READY := $(VENV)/.test-ready
COMPILED := $(VENV)/.steps-compiled
UV ?= uv
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --no-emit-index-url
ARGS ?=
SEEDS ?= 200
KILL_SEEDS ?= 3000
KILLS ?= 10
RANDOM ?= 200
# Test files at once; more than cores, for the process tests mostly wait.
JOBS ?= 3
# The longest files begin first, so that none of them runs alone at the end.
ORDER := tests/chaos/test_short_chaos.py tests/simulation tests/process tests

# Public backtest engines that ours is measured beside, each in its own environment.
PEERS := backtesting vectorbt backtrader bt nautilus_trader
PEER_LOCKS := tests/benchmarks/peers/requirements

.PHONY: install run test bench chaos chaos-short lint lock peers bench-peers lock-peers
.DELETE_ON_ERROR:
.NOTPARALLEL:

install: $(COMPILED)

run: install
	@exec $(PYTHON) run.py $(ARGS)

test: $(TEST_READY) $(COMPILED)
	@exec $(PYTHON) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder \
		--benchmark-disable $(if $(findstring tests/,$(ARGS)),,$(ORDER)) $(ARGS)

# The bot on one thread under faults, a run a seed, a process a core, then killed at every point; a
# failing run prints the line that reruns it.  Then the real process: KILLS at each point, RANDOM at
# random times.
chaos: $(TEST_READY) $(COMPILED)
	@$(PYTHON) -m tests.simulation.chaos --seeds $(SEEDS) $(ARGS)
	@$(PYTHON) -m tests.simulation.chaos --kill-points --seeds $(KILL_SEEDS) --json kills.json
	@exec $(PYTHON) -m tests.chaos --kills $(KILLS) --random $(RANDOM) --jobs $(JOBS) --json chaos.json

# Every figure of the design beside its target, in one table.
bench: $(TEST_READY) $(COMPILED)
	@exec $(PYTHON) -m tests.benchmarks $(ARGS)

# Three minutes of the real process dying at each point once.
chaos-short: $(TEST_READY) $(COMPILED)
	@exec $(PYTHON) -m pytest tests/chaos/test_short_chaos.py $(ARGS)

lint: $(TEST_READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# Our backtest beside its peers on the same bars and the same rule.
bench-peers: install peers
	@exec $(PYTHON) -m tests.benchmarks.peers $(ARGS)

peers: $(PEERS:%=.peers/%/.ready)

# One that cannot be installed here is left out of the table.
.peers/%/.ready: $(PEER_LOCKS)/%.txt | $(PYTHON)
	@echo 'Installing $* into .peers/, about a minute ...'
	@$(PYTHON) -m venv --clear .peers/$*
	@.peers/$*/bin/python -m pip --disable-pip-version-check -qq install --require-hashes \
		--only-binary :all: --requirement $< && touch $@ || echo '$* cannot be installed here' >&2

lock-peers:
	@for peer in $(PEERS); do echo $$peer | $(LOCK) - --only-binary :all: \
		--output-file $(PEER_LOCKS)/$$peer.txt || exit 1; done

# Needs uv; CI and users need only the files that it writes.  The test tools are resolved first and
# bind the other files, so that all install the same versions.
lock:
	$(LOCK) setup.cfg --extra test --output-file requirements/test.txt
	$(LOCK) setup.cfg --constraint requirements/test.txt --output-file requirements/run.txt
	$(LOCK) setup.cfg --extra cluster --constraint requirements/test.txt \
		--output-file requirements/cluster.txt
	@rm -rf *.egg-info

# The first interpreter of a supported version; the folder is rebuilt when its own one has gone.
$(PYTHON):
	@found=; for name in python3 python3.13 python3.12 python3.11; do \
		if $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
			2>/dev/null; then found=$$name; break; fi; done; \
	if [ -z "$$found" ]; then \
		echo 'python3 must be version 3.11, 3.12 or 3.13, none was found.' \
			'Fix: install one of them.' >&2; exit 1; fi; \
	$$found -m venv --clear $(VENV) || { \
		echo "$$found cannot make $(VENV). Fix: install its venv module (python3-venv)." >&2; \
		rm -rf $(VENV); exit 1; }

$(RUN_READY): requirements/run.txt | $(PYTHON)
	@echo 'Installing into $(VENV)/, about a minute ...'
	@$(PIP) --requirement requirements/run.txt
	@touch $@

$(TEST_READY): requirements/test.txt | $(PYTHON)
	@echo 'Installing what the tests need into $(VENV)/, about a minute ...'
	@$(PIP) --requirement requirements/test.txt
	@touch $(RUN_READY) $@

# Compiled steps are cached beside their sources, so that the first start need not wait for them.
$(COMPILED): $(RUN_READY) $(wildcard core/symbol/*.py)
	@echo 'Compiling the feature steps, some seconds ...'
	@$(PYTHON) -c 'from core.symbol.features import compile_steps; compile_steps()'
	@touch $@
