# make book builds everything from nothing; make help lists the rest.

PYTHON ?= python3
STUDY ?= colors
MODELS ?=
ADD_MODELS ?=
COUNT_ADDED ?=
SETTINGS ?=
NAME ?=
SITE ?= _build/html
CORES ?= all
PROFILE ?= default
WITH ?=

# Recipes take these from the environment, so that blanks and quotes in them stay what they are.
export PYTHON STUDY MODELS ADD_MODELS SETTINGS NAME SITE CORES PROFILE

# What timm and some image processors need fits one PyTorch only, so it has its own environment.
VENV := .venv$(if $(filter timm torchvision,$(WITH)),-timm)
WITH_TIMM := torch==2.14.1 torchvision==0.29.1 timm==1.0.31

OUTER_PATH := $(PATH)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
INSTALLED := $(VENV)/.installed

# Files are UTF-8, whatever the locale says.
export PYTHONUTF8 := 1

# Where HOME cannot be written, as in containers, what is kept there is kept here.
ifneq ($(shell test -d "$$HOME" && test -w "$$HOME" && echo yes),yes)
export HOME := $(CURDIR)/.home
export XDG_CACHE_HOME := $(CURDIR)/.home/cache
endif

CHOICE = --models "$$MODELS" --add-models "$$ADD_MODELS" --settings "$$SETTINGS" \
    $(if $(COUNT_ADDED),--count-added)

# An empty environment, of a Python that fits.
define new-environment
export PATH="$(OUTER_PATH)"; "$$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
    echo "convexlib needs Python 3.11 to 3.13, and $$PYTHON is $$("$$PYTHON" -V 2>&1);" \
        "name another: make PYTHON=python3.12 ..." >&2; exit 1; }; \
echo "Installing the environment in $(@D)"; "$$PYTHON" -m venv --clear $(@D)
endef

.PHONY: book plan notebook why test test-slow data timm lint bench thingsvision clean notebooks lock help
.DEFAULT_GOAL := help

book: $(INSTALLED)  ## Train, measure, execute the notebooks and render the site in _build/html
	@convexlib check "$$STUDY" $(CHOICE)
	@convexlib run "$$STUDY" "$$SITE" $(CHOICE) --cores "$$CORES" --profile "$$PROFILE"
	@echo "The book is at $$SITE/index.html"

plan: $(INSTALLED)  ## Say what make book would fetch and make, and how long that takes here
	@convexlib plan "$$STUDY" $(CHOICE)

notebook: $(INSTALLED)  ## Make one page again, as by make notebook NAME=layer_curves
	@convexlib run "$$STUDY" "$$SITE" $(CHOICE) --cores "$$CORES" --profile "$$PROFILE" --again "notebooks/$$NAME"
	@echo "The page is at $$SITE/notebooks/$$NAME.html"

why: $(INSTALLED)  ## Say why a result is made anew, as by make why NAME=notebooks/layer_curves
	@convexlib why "$$STUDY" "$$NAME" $(CHOICE)

test: $(INSTALLED)  ## Run the quick tests; ARGS="tests/test_convexity.py" runs some
	@pytest $(ARGS)

test-slow: $(INSTALLED)  ## Run the tests that train, render or drive a browser
	@pytest -m slow $(ARGS)

data: $(INSTALLED)  ## Fetch other people's data that tests read; CONVEXLIB_DATA names the folder
	@python tools/public_data.py

timm: .venv-timm/.installed  ## Run the tests of timm models, in an environment with torchvision
	@.venv-timm/bin/pytest tests/test_timm.py $(ARGS)

lint: $(INSTALLED)  ## Check format and style
	@ruff format --check . && ruff check .

bench: $(INSTALLED)  ## Run both sides of every speed claim; writes the page on speed
	@python -m benchmarks

thingsvision: .venv-thingsvision/.installed  ## Install thingsvision (Python 3.11) for make bench

notebooks: $(INSTALLED)  ## Write each notebook as .ipynb, to open in JupyterLab
	@convexlib notebooks "$$STUDY" $(CHOICE)

lock: $(INSTALLED)  ## Pin the newest versions in requirements.lock and environment.yml
	@python tools/lock.py

clean:  ## Remove results, the site and the environments
	rm -rf results _build .venv .venv-timm .venv-thingsvision .snakemake .home notebooks/*.ipynb

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s:

.venv/.installed: requirements.lock pyproject.toml
	@$(new-environment)
	@.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv-timm/.installed: requirements.lock pyproject.toml
	@$(new-environment)
	@grep -v '^torch==' requirements.lock > .venv-timm/requirements.txt
	@.venv-timm/bin/pip install --quiet --disable-pip-version-check \
	    --requirement .venv-timm/requirements.txt $(WITH_TIMM)
	@.venv-timm/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv-thingsvision/.installed:
	@$(new-environment)
	@.venv-thingsvision/bin/pip install --quiet --disable-pip-version-check thingsvision==2.7.3
	@touch $@
