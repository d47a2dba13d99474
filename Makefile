# make demo   train, measure, fold and draw a network on real images, in a few minutes
# make test   the whole test suite
# make docs   write the measured numbers into README.md and docs/, and build the site, build/site/index.html
# Both make their own environment in .venv; nothing else on the machine changes, save that Graphviz is installed if missing,
# and for the tests Chromium.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := runs/demo

.DEFAULT_GOAL := help
.PHONY: help demo test docs lint dot browser clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "foldnet needs Python 3.11 or newer and '$(PYTHON)' is older; run 'make PYTHON=python3.12 demo' or the like"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { $(MAKE) --no-print-directory venv-package && $(PYTHON) -m venv --clear $(VENV); }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

# Debian and Ubuntu keep the venv module in a package of its own.
.PHONY: venv-package
venv-package:
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq python3-venv; \
	elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then sudo apt-get update -qq && sudo apt-get install -y -qq python3-venv; \
	else echo "Python's venv module is missing; install it (Debian, Ubuntu: sudo apt install python3-venv) and try again"; exit 1; fi

# A missing dot is no reason to stop: the pictures that need it then say what to install.
dot:
	@command -v dot >/dev/null && exit 0; \
	echo "Graphviz's dot is missing; installing it for the pictures"; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq graphviz >/dev/null; \
	elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then sudo apt-get update -qq && sudo apt-get install -y -qq graphviz >/dev/null; \
	elif command -v brew >/dev/null; then brew install --quiet graphviz; \
	else false; fi || echo "it could not be installed; run 'sudo apt install graphviz' (Debian, Ubuntu) or 'brew install graphviz' (macOS)"

# The tests look at pages in a real browser.
browser:
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do command -v $$name >/dev/null && exit 0; done; \
	echo "Chromium is missing; installing it for the tests"; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then sudo apt-get update -qq && sudo apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	elif command -v brew >/dev/null; then brew install --quiet --cask chromium; \
	else false; fi || echo "it could not be installed; run 'sudo apt install chromium' (Debian, Ubuntu), or the tests of pages will fail"

# One thread, because other numbers of them round differently: this way it is the run that README shows.
demo: export OMP_NUM_THREADS = 1
demo: $(VENV)/.installed dot
	$(BIN)/foldnet train --out $(DEMO) --force --force
	$(BIN)/foldnet lsm $(DEMO) --output $(DEMO)/lsm.png
	$(BIN)/foldnet fold $(DEMO) --out $(DEMO)/fold
	@if command -v dot >/dev/null; then ending=svg; else ending=dot; fi; set -ex; \
	$(BIN)/foldnet render graph $(DEMO)/fold --output $(DEMO)/folded.$$ending; \
	$(BIN)/foldnet render sharing $(DEMO) --output $(DEMO)/sharing.$$ending; \
	$(BIN)/foldnet evaluate $(DEMO)/fold; set +x; \
	printf '\nOpen these:\n  %s\n  %s\n  %s\n' "$(DEMO)/folded.$$ending  the loops" \
		"$(DEMO)/lsm.png  which layers came alike" "$(DEMO)/sharing.$$ending  who mixes what"

# Two processes of one thread each take half the time of one with two; a file's tests share what its fixtures trained. In the order of
# the files, because the longest of them have few tests and would otherwise come last, when one process has nothing left to do. Tests start a hundred
# processes, which would compile the package anew where PYTHONDONTWRITEBYTECODE is set.
test: $(VENV)/.installed dot browser lint
	env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

docs: $(VENV)/.installed
	$(BIN)/python docs/write.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo 'Open build/site/index.html'

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p $(VENV)/typed && ln -sfn ../../cli $(VENV)/typed/foldnet_cli
	MYPYPATH=$(VENV)/typed $(BIN)/mypy

clean:
	rm -rf $(VENV) .pytest_cache .hypothesis .mypy_cache .ruff_cache *.egg-info
