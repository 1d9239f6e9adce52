# make demo   set everything up and serve the page
# make test   set everything up and run the tests
# make check  the tests, and what keeps the code tidy
# make gpu    with $(PYTHON) as it is: what a GPU has to prove, and how fast it is, in gpu.json
# TORCH=cpu   the smaller CPU-only PyTorch, from PyTorch's own index

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ifeq ($(TORCH),cpu)
INDEX := --extra-index-url https://download.pytorch.org/whl/cpu
endif

.PHONY: demo test check gpu clean

demo: $(VENV)/.demo
	$(BIN)/python app.py $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest

gpu:
	$(PYTHON) -m pytest -m gpu -rs tests/test_gpu.py
	$(PYTHON) -m benchmarks.gpu gpu.json

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet $(INDEX) -r requirements.txt
	touch $@

$(VENV)/.test: requirements.txt requirements-dev.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet $(INDEX) -r requirements-dev.txt
	touch $(VENV)/.demo $@

clean:
	rm -rf $(VENV)
