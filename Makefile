# Everything a checkout needs. Only a Python from 3.11 on is expected; the rest is fetched by its ordinary clients.
.DEFAULT_GOAL := help
.PHONY: help run test check format bench docs clean setup

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
TOOLS := .rimlock/tools
UV ?= $(shell command -v uv || echo $(TOOLS)/bin/uv)
VENV := .venv
PY := $(VENV)/bin/python
WORKERS ?= 2
READY := $(VENV)/.ready

export UV_PYTHON_DOWNLOADS = never
export PIP_DISABLE_PIP_VERSION_CHECK = 1

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## run the fitted laboratory app, seeded, on SQLite
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" bash examples/lab/run.sh

test: $(READY) ## run every test, on every real part that can be had
	@rm -rf build/results .pytest_cache && mkdir -p build/results; status=0; \
	$(PY) -m pytest -n $(WORKERS) --dist loadgroup --junitxml=build/results/rimlock.xml || { \
		echo "what failed beside others, once more and alone"; \
		$(PY) -m pytest --last-failed --last-failed-no-failures none --junitxml=build/results/again.xml || status=1; }; \
	if [ -d examples/lab/tests ]; then echo "examples/lab" && (cd examples/lab && \
		"$(CURDIR)/$(PY)" -m pytest -q --rootdir=. --junitxml="$(CURDIR)/build/results/lab.xml") || status=1; fi; \
	if [ -f tests/matrix/run.py ]; then echo "tests/matrix" && $(PY) tests/matrix/run.py || status=1; fi; \
	$(PY) tests/parts/total.py build/results/*.xml; exit $$status

check: $(READY) ## lint, types, layers and budgets; changes nothing
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	$(VENV)/bin/pyright
	$(VENV)/bin/lint-imports
	$(PY) -m pytest -q tests/architecture

format: $(READY) ## put the source into its one form
	$(VENV)/bin/ruff check --fix-only
	$(VENV)/bin/ruff format

bench: $(READY) ## measure, and print the table
	$(PY) benchmarks/run.py

docs: $(READY) ## generate the reference pages
	$(PY) docs/generate.py

setup: $(READY) ## only install what the other goals need

clean: ## remove what was made, keep what was written
	rm -rf $(VENV) $(TOOLS) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The locked set through uv; where uv can't be had or can't reach the lock's addresses, the same set of names through pip.
$(READY): pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found; name one with PYTHON=…" >&2; exit 1; }
	@command -v $(UV) >/dev/null || { $(PYTHON) -m venv $(TOOLS) && $(TOOLS)/bin/pip install -q uv; } || true
	@$(UV) sync --frozen --python $(PYTHON) || { \
		echo "uv could not install the lock; installing without it" >&2; \
		$(PYTHON) -m venv --clear $(VENV) && $(PY) -m pip install -q --upgrade pip && $(PY) -m pip install -q -e . --group dev; }
	@touch $@
