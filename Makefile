# make book builds everything from nothing; make help lists the rest.

PYTHON ?= python3
STUDY ?= colors
MODELS ?=
ADD_MODELS ?=
SITE ?= _build/html
CORES ?= all

BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
INSTALLED := .venv/.installed

.PHONY: book test lint bench clean notebooks lock help
.DEFAULT_GOAL := help

book: $(INSTALLED)  ## Train, measure, execute the notebooks and render the site in _build/html
	@convexlib check "$(STUDY)" --models "$(MODELS)" --add-models "$(ADD_MODELS)"
	@snakemake --cores $(CORES) \
	    --config study="$(STUDY)" models="$(MODELS)" add_models="$(ADD_MODELS)" site="$(SITE)"
	@echo "The book is at $(SITE)/index.html"

test: $(INSTALLED)  ## Run the tests; ARGS="tests/test_convexity.py" runs some
	@pytest $(ARGS)

lint: $(INSTALLED)  ## Check format and style
	@ruff format --check . && ruff check .

bench: $(INSTALLED)  ## Run both sides of every speed claim; writes the page on speed
	@python -m benchmarks

notebooks: $(INSTALLED)  ## Write each notebook as .ipynb, to open in JupyterLab
	@convexlib notebooks "$(STUDY)"

lock: $(INSTALLED)  ## Pin the newest versions in requirements.lock and environment.yml
	@python tools/lock.py

clean:  ## Remove results, the site and the environment
	rm -rf results _build .venv .snakemake notebooks/*.ipynb

help:  ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s:

$(INSTALLED): requirements.lock pyproject.toml
	@echo "Installing the environment in .venv"
	@$(PYTHON) -m venv .venv
	@pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
