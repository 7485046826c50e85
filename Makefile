# Everything a developer runs. `make help` lists it; .venv is made on first use.
PYTHON ?= python3
BIN = .venv/bin
unexport PYTHONDONTWRITEBYTECODE  # the tests start hundreds of processes, which would each compile everything

.PHONY: help demo test test-models boards test-boards test-deep lint format bench bench-table clean
help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: .venv/ready  ## filter a photograph and read digits on a real MicroPython, compare every bit
	$(BIN)/ucorr demo --output out/demo.png

HERE = --ignore=tests/boards --ignore=tests/models
test: .venv/ready  ## every test that pip alone can provide; a skip fails the run
	$(BIN)/python -m pytest -n 2 --dist worksteal $(HERE) --hypothesis-profile=ci

test-models: .venv/ready  ## the public networks in the folder $$UCORR_MODELS, byte for byte as LiteRT runs them
	@test -n "$$UCORR_MODELS" || { echo "UCORR_MODELS: not set, wanted the folder with the .tflite files" >&2; exit 2; }
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/models

boards: .venv/ready  ## install QEMU and cross compilers (as root), build MicroPython for each emulated board
	$(BIN)/python -m ucorr_tools.qemu

test-boards: boards  ## real firmware on emulated Cortex-M0, M3, M4, M7, M33 and RISC-V, two at a time
	rm -f out/boards.json
	$(BIN)/python -m pytest -n 2 --dist loadgroup tests/boards --hypothesis-profile=ci

test-deep: boards  ## the same properties with 5,000 examples each
	$(BIN)/python -m pytest -n 2 --dist worksteal $(HERE) --hypothesis-profile=deep
	$(BIN)/python -m pytest -n 2 --dist loadgroup tests/boards --hypothesis-profile=deep

lint: .venv/ready  ## ruff, ruff format and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/ready  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

COUNTED = qemu-m0 qemu-m3 qemu-m7 qemu-m33 qemu-rv32
NETWORKS = tools/ucorr_tools/data/digits.tflite $$UCORR_MODELS/kws_ref_model.tflite $$UCORR_MODELS/pretrainedResnet_quant.tflite
bench-table: test-boards  ## the tables of README and docs, from the boards' tests and from counted, verified layers and networks
	@test -n "$$UCORR_MODELS" || { echo "UCORR_MODELS: not set, wanted the folder with the .tflite files" >&2; exit 2; }
	$(BIN)/ucorr bench --target host --json > out/bench-host.json
	for core in cortex-m4 cortex-m0plus; do \
		$(BIN)/ucorr bench --target $$core --layers abcdefghijklmnopqrs --json > out/bench-$$core.json || exit 1; done
	$(BIN)/ucorr bench --target qemu-m4 --backend viper --backend naive --backend portable --json > out/bench-qemu-m4.json
	for board in $(COUNTED); do \
		$(BIN)/ucorr bench --target $$board --backend viper --json > out/bench-$$board.json || exit 1; done
	for model in $(NETWORKS); do for core in cortex-m4 cortex-m0plus; do \
		$(BIN)/ucorr profile $$model --target $$core --json > out/profile-$$(basename $$model .tflite)-$$core.json || exit 1; done; done
	$(BIN)/python -m ucorr_tools.bench.tables . out/boards.json out/bench-*.json out/profile-*.json

bench: .venv/ready  ## layers on the host's MicroPython: viper, a naive viper loop, bytecode
	$(BIN)/ucorr bench

clean:  ## remove what was made
	rm -rf .venv build dist out *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
