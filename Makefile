# Everything a person types. Needs Python 3.11 or newer, make and pip; see README.md.
# One shell per recipe line, POSIX sh only. Each expensive step leaves a stamp, so a second run does nothing.

VENV := .venv
BIN := $(VENV)/bin
# A virtual environment holds absolute paths: in a moved or copied checkout the stamp has another name.
PLACE := $(shell pwd | cksum | cut -d ' ' -f 1)
PYTHON_READY := $(VENV)/.ready-$(PLACE)
ASSETS := annotations/static/vendor
ASSETS_READY := $(ASSETS)/.ready

export PYTHON TORCH_PIP_ARGS

.PHONY: help setup up test demo-day pictures soak check gates lock assets clean
.DEFAULT_GOAL := help

help: ## what you can type
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: $(PYTHON_READY) $(ASSETS_READY) ## the environment: .venv and the built style sheet and scripts

up: setup ## everything, on http://127.0.0.1:8000; Ctrl-C stops it, a second `make up` resumes
	@exec $(BIN)/triage up

test: setup ## the whole suite; installs Chromium for the browser tests where it may
	@chromium=$$(scripts/chromium) && TRIAGE_CHROMIUM="$$chromium" $(BIN)/pytest $(PYTEST_ARGS)

demo-day: setup ## a working day on invented posts, played on the running service (or one started for it); PACE=2
	@$(BIN)/triage demo-day --pace $(or $(PACE),2)

pictures: setup ## draw the pages of docs/images anew from demonstration data
	@chromium=$$(scripts/chromium) && TRIAGE_CHROMIUM="$$chromium" $(BIN)/python -m tests.pictures

soak: setup ## reports arrive while everything breaks at random; SECONDS=600, and SEED to repeat a run
	@$(BIN)/python -m tests.soak

check: $(PYTHON_READY) ## format, lint, import contracts, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

gates: setup ## what the classifiers must reach; MODEL=folder for a candidate
	$(BIN)/python -m classifiers.gates $(if $(MODEL),--artefact $(MODEL))

lock: ## write requirements.lock and package-lock.json anew from pyproject.toml and package.json
	scripts/lock

assets: $(ASSETS_READY) ## only the style sheet and scripts

clean: ## remove what was built, but not var/, where your data is
	rm -rf $(VENV) node_modules $(ASSETS) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PYTHON_READY): requirements.lock pyproject.toml scripts/setup-python
	@scripts/setup-python
	@touch $@

$(ASSETS_READY): package.json package-lock.json scripts/build-assets $(wildcard annotations/styles/*.scss) | $(PYTHON_READY)
	@scripts/build-assets $(ASSETS)
	@touch $@
