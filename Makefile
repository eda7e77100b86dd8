# Every target sets up what it needs: Python >= 3.11, make and a C compiler are enough.
# Without a C compiler the kernels are compiled in process (KERNELS=jit), with one warning.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# Two make commands that start together set up one after the other: the lock is the Makefile itself.
LOCKED := $(if $(shell command -v flock),flock Makefile,)
PACKAGES := shm config runtime feed engine risk executor exchange

# make run: seconds to run (none = until Ctrl-C), synthetic or capture, recordings, speed of replay,
# and any setting: SET="risk.stop_loss_pct=0.003 trading.symbols=BTCUSDT,ETHUSDT", no spaces in values
DURATION ?=
MARKET ?=
CAPTURE ?=
SPEED ?=
SET ?=
# make bench-shm: where the rows go as JSON besides (none = only to the screen)
JSON ?=
# make kill: yes = close the positions as well; make rearm: yes = do not ask at the terminal
FLATTEN ?=
CONFIRM ?=
# make trades: which round trips (SINCE: a time or an age such as 2h), rows of the table, CSV file or -
SYMBOL ?=
STRATEGY ?=
SINCE ?=
RUN ?=
LAST ?=
CSV ?=
# make logs: which process (none = all)
S ?= *
# make evaluate: CAPTURE as above; JSON as above; where the plots go besides (none = no plots)
PLOTS ?=

RUN_OPTIONS := $(if $(DURATION),--duration $(DURATION)) $(if $(MARKET),--market $(MARKET)) \
	$(if $(CAPTURE),--capture $(CAPTURE)) $(if $(SPEED),--speed $(SPEED))
TRADE_OPTIONS := $(foreach name,SYMBOL STRATEGY SINCE RUN LAST CSV,$(if $($(name)),\
	--$(shell echo $(name) | tr A-Z a-z)=$($(name))))
SET_OPTIONS := $(foreach pair,$(SET),--set '$(pair)')

.DEFAULT_GOAL := help
.PHONY: exchange help run status trades stop kill rearm logs test test-clients bench bench-shm bench-exchange \
	bench-engine bench-risk build evaluate lint docs lock clean-shm clean

help: ## show the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sort | \
		awk -F ':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'
	@echo '  e.g. make run DURATION=60      make run MARKET=capture CAPTURE="a.gz b.gz" SPEED=10'

$(VENV)/.runtime: requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and \
		f"error: Python >= 3.11 is needed: {v.major}.{v.minor} (set PYTHON=...)")'
	@$(LOCKED) sh -e -c 'if test $@ -nt requirements.lock; then exit 0; fi; \
		echo "setting up $(VENV) (once)"; test -x $(PY) || $(PYTHON) -m venv $(VENV); \
		$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.lock; touch $@'

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@$(LOCKED) sh -e -c 'if test $@ -nt requirements-dev.lock; then exit 0; fi; \
		echo "setting up what tests and checks need (once)"; \
		$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock; touch $@'

run: $(VENV)/.runtime ## start the pipeline: DURATION= MARKET= CAPTURE= SPEED= SET=
	@$(PY) supervisor.py run $(RUN_OPTIONS) $(SET_OPTIONS)

status: $(VENV)/.runtime ## show each process of the running instance
	@$(PY) supervisor.py status $(SET_OPTIONS)

trades: $(VENV)/.runtime ## show round trips and profit: SYMBOL= STRATEGY= SINCE= RUN= LAST= CSV=
	@$(PY) supervisor.py trades $(TRADE_OPTIONS) $(SET_OPTIONS)

stop: $(VENV)/.runtime ## stop the running instance in order
	@$(PY) supervisor.py stop $(SET_OPTIONS)

kill: $(VENV)/.runtime ## latch: only what reduces risk passes; withdraw orders, FLATTEN=yes closes positions
	@case '$(FLATTEN)' in ''|yes) ;; *) echo 'error: FLATTEN must be yes or nothing: FLATTEN=$(FLATTEN)' >&2; \
		exit 2;; esac
	@$(PY) supervisor.py kill $(if $(FLATTEN),--flatten) $(SET_OPTIONS)

rearm: $(VENV)/.runtime ## show what is latched, and let entries through again: CONFIRM=yes or a typed word
	@$(PY) supervisor.py rearm $(if $(CONFIRM),--confirm '$(CONFIRM)') $(SET_OPTIONS)

logs: $(VENV)/.runtime ## follow the logs: all, or S=feed|engine|risk|executor|supervisor|exchange|ledger
	@case '$(S)' in '*'|feed|engine|risk|executor|supervisor|exchange|ledger) ;; \
		*) echo 'error: S must be feed, engine, risk, executor, supervisor, exchange or ledger: S=$(S)' >&2; \
		exit 2;; esac; \
	folder=$$($(PY) supervisor.py log-folder $(SET_OPTIONS)) && mkdir -p "$$folder" && cd "$$folder" && \
		if [ '$(S)' != '*' ]; then touch $(S).log; exec tail -n 20 -F $(S).log; fi && \
		exec tail -n 20 -F supervisor.log feed.log engine.log risk.log executor.log exchange.log ledger.log 2>/dev/null

test: $(VENV)/.dev build ## run all tests: those of the whole pipeline last, two at a time
	@export NUMBA_CACHE_DIR=$$($(PY) -m runtime.jit_cache); failed=0; \
		$(PY) -m pytest --ignore tests/system --numprocesses 3 --dist loadfile || failed=1; \
		$(PY) -m pytest tests/system --numprocesses 2 --dist loadfile || failed=1; exit $$failed

test-clients: $(VENV)/.dev ## judge the exchange by unmodified third-party clients
	@PYTHONPATH=tests/exchange $(PY) tests/clients/run_clients.py

build: $(VENV)/.runtime ## compile the kernels ahead of time
	@$(PY) -m runtime.build_command

bench: $(VENV)/.dev ## run all benches
	@$(PY) -m bench all

bench-shm: $(VENV)/.dev ## run the bench of rings, pools and histograms
	@$(PY) -m bench shm $(if $(JSON),--json $(JSON))

bench-exchange: $(VENV)/.dev ## run the benches of the embedded exchange: matching, streams
	@$(PY) -m bench exchange exchange_stream $(if $(JSON),--json $(JSON))

bench-risk: $(VENV)/.dev ## run the bench of risk: exits, limits, signal to order, kill latch
	@$(PY) -m bench risk $(if $(JSON),--json $(JSON))

bench-engine: $(VENV)/.dev ## run the bench of the engine: book, signals, rings, others' books
	@$(PY) -m bench engine $(if $(JSON),--json $(JSON))

exchange: $(VENV)/.runtime ## start the embedded exchange alone: PORT= OPTIONS="--market ... --fault ..."
	@EXCHANGE_API_KEY="$${EXCHANGE_API_KEY:-embedded}" \
		EXCHANGE_API_SECRET="$${EXCHANGE_API_SECRET:-embedded}" \
		$(PY) -m exchange $(if $(PORT),--port $(PORT)) $(OPTIONS)

evaluate: $(VENV)/.dev ## judge the signals on recordings: CAPTURE= JSON= PLOTS=
	@test -n '$(CAPTURE)' || { echo 'error: CAPTURE="FILE [FILE...]" is needed' >&2; exit 2; }
	@$(PY) -m bench.evaluate $(CAPTURE) $(if $(JSON),--json $(JSON)) $(if $(PLOTS),--plots $(PLOTS))

lint: $(VENV)/.dev ## check style, types and generated files
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check --quiet .
	@$(PY) -m mypy $(PACKAGES) supervisor.py bench examples
	@$(PY) -m config --check
	@$(PY) docs/generate.py --check

docs: $(VENV)/.dev ## write the generated files anew
	@$(PY) -m config --write
	@$(PY) docs/generate.py

lock: ## write the lock files from pyproject.toml, in a fresh environment
	@rm -rf $(VENV)/lock && $(PYTHON) -m venv $(VENV)/lock
	@sh -e -c 'pip="$(VENV)/lock/bin/python -m pip --disable-pip-version-check"; \
		$$pip install --quiet $$($(PYTHON) -c "import tomllib; \
		print(*tomllib.load(open(\"pyproject.toml\", \"rb\"))[\"project\"][\"dependencies\"])"); \
		{ echo "# Exact versions of what the program runs on. make lock writes both lock files."; \
		  $$pip freeze; } > requirements.lock; \
		$$pip install --quiet $$($(PYTHON) -c "import tomllib; \
		print(*tomllib.load(open(\"pyproject.toml\", \"rb\"))[\"project\"][\"optional-dependencies\"][\"dev\"])"); \
		{ echo "# Exact versions of what tests, checks and benches need besides."; \
		  echo "-r requirements.lock"; \
		  $$pip freeze | grep -vxFf requirements.lock; } > requirements-dev.lock'
	@rm -rf $(VENV)/lock

clean-shm: $(VENV)/.runtime ## remove shared memory whose owner is dead
	@$(PY) supervisor.py clean-shm $(SET_OPTIONS)

clean: ## remove the environment, builds and logs
	@rm -rf $(VENV) .build logs .pytest_cache .mypy_cache .ruff_cache .hypothesis
