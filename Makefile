# Everything runs in .venv, which the first command makes. `make help` lists the commands.

PY := .venv/bin/python
JOBS ?= 2

.PHONY: help demo setup check lint unit test bench clean

help:            ## this list
	@grep -E '^[a-z]+: .*##' Makefile | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

demo:            ## set up what it needs, run the main job on real faces, and say what it cost
	@tools/setup.sh demo
	.venv/bin/skylift run examples/faces/faces.py
	@echo
	.venv/bin/skylift ledger "$$(.venv/bin/skylift runs --pipeline faces --limit 1 | cut -f1)" --compare aws,gcp,azure

setup:           ## make .venv with all extras
	@tools/setup.sh all

check: setup lint unit            ## the fast loop: format, lint, types, layers, unit tests

lint: setup
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy src typing_tests
	.venv/bin/lint-imports

unit: setup
	$(PY) -m pytest tests/unit -m "not slow" -n $(JOBS)

test: setup lint            ## set up, all checks and all tests
	$(PY) -m pytest -n $(JOBS) --dist loadgroup -rs

bench: setup            ## the measurements, written to bench/RESULTS.md, bench/SERVICE.md, bench/RAY.md, bench/SPOT.md and bench/PLACEMENT.md
	$(PY) -m bench
	$(PY) -m bench.service
	$(PY) -m bench.ray
	$(PY) -m bench.spot
	$(PY) -m bench.placement

clean:            ## remove what the tools leave behind; .venv and .skylift stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find src tests examples -name __pycache__ -type d -prune -exec rm -rf {} +
