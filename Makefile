# make help lists the targets. Overridable: PYTHON (3.11 or newer), VENV, EXTRA (cpu or cuda).

.DEFAULT_GOAL := help
.PHONY: help install quickstart test test-fast

VENV ?= .venv
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
    $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
EXTRA ?= $(shell nvidia-smi -L 2>/dev/null | grep -q '^GPU ' && echo cuda || echo cpu)

# Installed steps leave a stamp named after what they depend on: a changed pyproject repeats them.
KEY := $(EXTRA)-$(shell cat pyproject.toml Makefile | cksum | tr ' ' '-')
RUNTIME := $(VENV)/stamps/runtime-$(KEY)
TOOLS := $(VENV)/stamps/tools-$(KEY)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install
LOG := $(VENV)/install.log
TORCH := torch==2.13.0+cpu

# $(call step,WHAT,COMMAND,ADVICE): one line before, one line if it fails, output into the log.
define step
echo "==> $(1)"; \
{ $(2); } >$(LOG) 2>&1 || { \
    reason=$$(grep -m 1 '^ERROR' $(LOG) || tail -n 1 $(LOG)); \
    echo "make: failed: $(1): $$reason - $(3); log: $(LOG)" >&2; exit 1; }
endef

help:
	@echo "make quickstart   install, fetch two small models, search for the best pipeline"
	@echo "make install      only install into $(VENV) (here: the $(EXTRA) version)"
	@echo "make test         install what tests need; lint, types, imports, all tests"
	@echo "make test-fast    the same without the tests that start model servers"
	@echo "Overridable: PYTHON=python3.12 VENV=.venv EXTRA=cpu|cuda"

quickstart: install
	@$(BIN)/python -m archon.search conf=quickstart

install: $(RUNTIME)

test: $(RUNTIME) $(TOOLS)
	@$(call checks, --cov --cov-report=term:skip-covered) && \
	    echo "==> tests on real model servers" && $(BIN)/pytest -m vllm --durations=5

test-fast: $(RUNTIME) $(TOOLS)
	@$(call checks,)

# $(call checks, PYTEST OPTIONS)
define checks
{ command -v bwrap >/dev/null || { \
    echo "make: the sandbox for generated code needs bubblewrap: apt install bubblewrap" >&2; exit 1; }; } && \
export PATH="$(abspath $(BIN)):$$PATH" && \
echo "==> lint" && ruff check . && ruff format --check . && \
echo "==> types" && mypy && \
echo "==> imports" && lint-imports && \
echo "==> tests" && pytest -n 2 -m "not vllm"$(1)
endef

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
	    echo "make: no Python 3.11 or newer found; install one, or name it: make PYTHON=/path/to/python3.11" >&2; \
	    exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "make: $(PYTHON) is not Python 3.11 or newer; name another: make PYTHON=python3.11" >&2; exit 1; }
	@echo "==> creating $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "make: failed: creating $(VENV). On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# PyTorch's own index is asked only if need be: it slows down the search for every package.
$(RUNTIME): | $(BIN)/python
	@mkdir -p $(@D)
ifeq ($(EXTRA),cpu)
	@$(call step,installing PyTorch for CPU,$(PIP) $(TORCH) || \
	    $(PIP) $(TORCH) --extra-index-url https://download.pytorch.org/whl/cpu,check the network and repeat)
endif
	@$(call step,installing archon-ipw with vLLM ($(EXTRA))$(comma) about two minutes,\
	    $(PIP) -e '.[$(EXTRA)$(comma)tasks$(comma)report]',check the network and repeat)
	@$(call step,checking the installation,$(BIN)/python -m archon.engines.install,\
	    delete $(VENV) and repeat)
	@touch $@

$(TOOLS): | $(RUNTIME)
	@$(call step,installing the test tools,$(PIP) -e '.[test]',check the network and repeat)
	@# Asking pip for the model stack here would bring back what the repair took out.
	@$(call step,checking the installation,$(BIN)/python -m archon.engines.install,\
	    delete $(VENV) and repeat)
	@touch $@

comma := ,
