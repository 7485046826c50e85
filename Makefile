# Everything a developer runs. `make help` lists it; .venv is made on first use.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: help demo test test-deep lint format bench bench-table clean
help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: .venv/ready  ## filter a photograph on a real MicroPython and compare every bit
	$(BIN)/ucorr demo --output out/demo.png

test: .venv/ready  ## every test that pip alone can provide; a skip fails the run
	$(BIN)/python -m pytest -n 2 --dist worksteal --ignore=tests/boards --hypothesis-profile=ci

test-deep: .venv/ready  ## the same properties with 5,000 examples each
	$(BIN)/python -m pytest -n 2 --dist worksteal --ignore=tests/boards --hypothesis-profile=deep
	$(BIN)/python -m pytest tests/boards --hypothesis-profile=deep

lint: .venv/ready  ## ruff, ruff format and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/ready  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-table: .venv/ready  ## the same, written into the README
	$(BIN)/ucorr bench --write-table README.md

bench: .venv/ready  ## ratios: viper to portable, reference to scipy
	$(BIN)/ucorr bench

clean:  ## remove what was made
	rm -rf .venv build dist out *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
