# One command from a bare machine with Python >= 3.11: make demo, make test. `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
TOOLS := $(VENV)/.installed-with-tools

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint bench golden docs clean

help:
	@echo "make demo      set up, write a made-up hospital to demo/, build its package into out/"
	@echo "make test      set up and run the tests that take seconds"
	@echo "make test-all  run all tests, the long ones too"
	@echo "make lint      ruff and mypy"
	@echo "make bench     measure speed and memory"
	@echo "make golden    write the expected outputs of tests/golden anew; review them with git diff"
	@echo "make docs      write the generated pages of docs/ and the schema of trial.toml anew"
	@echo "make clean     remove .venv, demo/, out/, caches and build leftovers"

# One environment; a second run installs nothing unless the packages asked for have changed.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python >= 3.11 is needed, $(PYTHON) is `$(PYTHON) -V 2>&1`; say: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(TOOLS): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[test,dev]'
	@touch $@ $(VENV)/.installed

demo/enrolment.csv: | $(VENV)/.installed
	$(BIN)/fhir2cdisc demo --out demo

# Exit code 3 is expected: the made-up hospital has faults planted in it, and the package says which.
demo: $(VENV)/.installed demo/enrolment.csv
	@$(BIN)/fhir2cdisc build demo/fhir --enrolment demo/enrolment.csv --overwrite --out out; code=$$?; \
	case $$code in \
	  0) ;; \
	  3) echo; echo "Exit code 3 is right here: the demo hospital has faults on purpose; out/rejects.ndjson lists them.";; \
	  *) exit $$code;; \
	esac; \
	echo; \
	echo "Datasets and define.xml:      out/sdtm/ and out/adam/   (open define.html of either in a browser)"; \
	echo "Where every value came from:  out/trace/"; \
	echo "Left out, and why:            out/rejects.ndjson  out/unmapped.csv"; \
	echo "Used, but worth a look:       out/data-issues.csv"; \
	echo "What was read and written:    out/manifest.json  out/run.json"; \
	echo "Next:                         $(BIN)/fhir2cdisc analyse out   $(BIN)/fhir2cdisc signals out"

test: $(TOOLS)
	$(BIN)/python -m pytest -m "not long"

test-all: $(TOOLS)
	$(BIN)/python -m pytest -m "not long"
	$(BIN)/python -m pytest -m long --dist load

lint: $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict -p adapter -p mappings

bench: $(TOOLS)
	$(BIN)/python -m tests.bench

golden: $(TOOLS)
	$(BIN)/python -m tests.golden.rewrite

docs: $(VENV)/.installed
	$(BIN)/python -m adapter.docs docs
	$(BIN)/python -m mappings.trials.pgf_msc.demo docs/demo.md
	$(BIN)/python -c "from adapter.trial_docs import trial_schema; print(trial_schema(), end='')" > schemas/new.json
	mv schemas/new.json schemas/trial.schema.json

clean:
	rm -rf $(VENV) demo out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
