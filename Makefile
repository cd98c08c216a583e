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

# timm needs torchvision, which fits one PyTorch only, so they have an environment of their own.
WITH_TIMM := torch==2.14.1 torchvision==0.29.1 timm==1.0.31

.PHONY: book test timm lint bench thingsvision clean notebooks lock help
.DEFAULT_GOAL := help

book: $(INSTALLED)  ## Train, measure, execute the notebooks and render the site in _build/html
	@convexlib check "$(STUDY)" --models "$(MODELS)" --add-models "$(ADD_MODELS)"
	@snakemake --cores $(CORES) \
	    --config study="$(STUDY)" models="$(MODELS)" add_models="$(ADD_MODELS)" site="$(SITE)"
	@echo "The book is at $(SITE)/index.html"

test: $(INSTALLED)  ## Run the tests; ARGS="tests/test_convexity.py" runs some
	@pytest $(ARGS)

timm: .venv-timm/.installed  ## Run the tests of timm models, in an environment with torchvision
	@.venv-timm/bin/pytest tests/test_timm.py $(ARGS)

lint: $(INSTALLED)  ## Check format and style
	@ruff format --check . && ruff check .

bench: $(INSTALLED)  ## Run both sides of every speed claim; writes the page on speed
	@python -m benchmarks

thingsvision: .venv-thingsvision/.installed  ## Install thingsvision (Python 3.11) for make bench

notebooks: $(INSTALLED)  ## Write each notebook as .ipynb, to open in JupyterLab
	@convexlib notebooks "$(STUDY)"

lock: $(INSTALLED)  ## Pin the newest versions in requirements.lock and environment.yml
	@python tools/lock.py

clean:  ## Remove results, the site and the environments
	rm -rf results _build .venv .venv-timm .venv-thingsvision .snakemake notebooks/*.ipynb

help:  ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s:

$(INSTALLED): requirements.lock pyproject.toml
	@echo "Installing the environment in .venv"
	@$(PYTHON) -m venv .venv
	@pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv-timm/.installed: requirements.lock pyproject.toml
	@echo "Installing the environment with timm in .venv-timm"
	@$(PYTHON) -m venv .venv-timm
	@grep -v '^torch==' requirements.lock > .venv-timm/requirements.txt
	@.venv-timm/bin/pip install --quiet --disable-pip-version-check \
	    --requirement .venv-timm/requirements.txt $(WITH_TIMM)
	@.venv-timm/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv-thingsvision/.installed:
	@echo "Installing thingsvision in .venv-thingsvision"
	@$(PYTHON) -m venv .venv-thingsvision
	@.venv-thingsvision/bin/pip install --quiet --disable-pip-version-check thingsvision==2.7.3
	@touch $@
