# SPDX-License-Identifier: MIT
# Every target sets up what it needs, from nothing: python3 (3.11 or later) with venv, make, gcc.

PYTHON ?= python3
PY := .venv/bin/python
SPHINX := $(PY) -m sphinx -n -q -c . spec

# A test that needs a browser, a TPM or Xen's headers says "not run" itself; make knows nothing of it.
.NOTPARALLEL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' Makefile | while IFS='|' read -r name what; do \
		printf '%-18s %s\n' "$$name" "$$what"; done

.PHONY: conformance
conformance: .venv/stamp examples ## judge every target that ships and show the verdicts
	@$(PY) -m conformance.shipped

# pytest comes last: its last line counts what was not run for want of a Debian package.
.PHONY: test
test: .venv/stamp examples html ## run every check: lint, types, doctests, document, tests
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy --strict
	$(SPHINX) -b doctest build/doctest
	$(PY) -m pytest --numprocesses auto --dist loadfile

.PHONY: html
html: .venv/stamp ## build the document; open build/html/index.html
	$(SPHINX) -b html -W --keep-going build/html

.PHONY: exchanges
exchanges: .venv/stamp ## run 100000 random legal exchanges and count what they meet
	@$(PY) -m conformance.traffic

.PHONY: upstream
upstream: .venv/stamp ## write the patch series for xen.git; XEN_TREE=... tries it there
	@$(PY) -m upstream build/upstream $(if $(XEN_TREE),"$(XEN_TREE)")

.PHONY: benchmark
benchmark: .venv/stamp examples ## measure
	@$(PY) -m benchmarks

.PHONY: search
search: .venv/stamp ## search every interleaving of the model, at greater length than make test
	@$(PY) -m conformance.searches

.PHONY: walks
walks: .venv/stamp examples ## walk at random against every target that ships; find ten planted defects
	@$(PY) -m conformance.walks
	@$(PY) -m pytest -q tests/walks_long.py

.PHONY: mutants
mutants: .venv/stamp ## change every entry of the model's tables, and show that each change is caught
	@$(PY) -m tests.mutants

.PHONY: lab
lab: .venv/stamp ## build a real Xen host in QEMU into build/lab (or VTPM_LAB)
	@$(PY) -m conformance.lab

.PHONY: lab-test
lab-test: lab examples ## run the tests that need that host
	@$(MAKE) -s -C examples TRANSPORT=xen
	$(PY) -m pytest tests/lab

.PHONY: wheel
wheel: .venv/stamp ## build the wheel into dist/
	rm -rf dist
	$(PY) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

# No index address in the lock: pip takes the packages from wherever the user gets packages.
.PHONY: lock
lock: .venv/stamp ## pin the newest versions that pyproject.toml allows
	@mkdir -p build
	{ echo '# SPDX-License-Identifier: MIT'; \
	  $(PY) -m uv pip compile pyproject.toml --group docs --group test --group dev \
	    --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --quiet --custom-compile-command 'make lock'; } > build/requirements.txt
	mv build/requirements.txt requirements.txt

.PHONY: clean
clean: ## remove everything that make made, .venv too
	$(MAKE) -C examples clean
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache

.PHONY: examples
examples:
	@$(MAKE) -s -C examples

# --clear: a package that is no longer locked must not stay and hide that it is missing.
.venv/stamp: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	$(PYTHON) -m venv --clear .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
