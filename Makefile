PYTHON ?= python3
TESTS ?=
BIN := .venv/bin
.DEFAULT_GOAL := help
export HF_HUB_OFFLINE = 1

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: .venv/ready ## make .venv/ with everything in it, in the versions of constraints.txt (about 2 minutes)

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup ## the main job on real images: noise to NFE curve and report (3 minutes on two cores, 12 without bfloat16)
	$(BIN)/python run.py

demo-text: setup ## the same on drawn scenes, from captions (about 3 minutes on two cores)
	$(BIN)/python run.py experiment=demo_text

test: setup ## run the tests (no network); TESTS=tests/test_run.py runs some
	$(BIN)/python -m pytest -n 2 --dist worksteal $(TESTS)

# uv can take the lowest versions, and links files from its cache instead of copying them.
.venv-oldest/ready: LIBRARIES = --resolution lowest-direct
.venv-oldest/ready: PYTHON = 3.11
.venv-oldest/ready .venv-newest/ready: pyproject.toml | .venv/ready
	rm -rf $(@D)
	$(BIN)/uv venv --quiet --python $(PYTHON) $(@D)
	$(BIN)/uv pip install --quiet --python $(@D) $(LIBRARIES) -e '.[dev]'
	@touch $@

test-oldest: .venv-oldest/ready ## the same on Python 3.11 and the lowest versions that pyproject.toml allows
	.venv-oldest/bin/python -m pytest -n 2 --dist worksteal $(TESTS)

test-newest: .venv-newest/ready ## the same on the newest versions, without constraints.txt
	.venv-newest/bin/python -m pytest -n 2 --dist worksteal $(TESTS)

PLUGIN := model=prompt_toy dataset=prompts_toy verifier=word_likelihood algorithm=particles metrics=prompt_pixels \
    more_metrics=[colourfulness] budget.points=[1,2,4]

test-wheel: setup ## runs from the wheel alone, with the example plug-in too, in an empty folder and an environment of its own
	rm -rf dist .venv-wheel
	$(BIN)/uv build --quiet --wheel --out-dir dist
	$(BIN)/uv venv --quiet .venv-wheel
	$(BIN)/uv pip install --quiet --python .venv-wheel dist/*.whl
	folder=$$(mktemp -d) && cd $$folder && run=$(CURDIR)/.venv-wheel/bin/noise-search && \
	$$run experiment=toy images=20 logger=none hydra.run.dir=run && $$run verify run && test -s run/report.html && \
	$(CURDIR)/$(BIN)/uv pip install --quiet --python $(CURDIR)/.venv-wheel $(CURDIR)/examples/plugin && \
	$$run $(PLUGIN) images=20 logger=none hydra.run.dir=mine && $$run verify mine && test -s mine/report.html && rm -r $$folder

test-slurm: setup ## a sweep on a two-node SLURM of this machine's own (Debian, root; about 6 minutes)
	apt-get update --quiet
	apt-get install --yes --quiet --no-install-recommends slurm-wlm munge
	$(BIN)/python scripts/slurm_drill.py

test-pages: setup ## the pages in a browser: Debian's chromium, which is installed where it is missing (as root)
	command -v chromium > /dev/null || (apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends chromium)
	$(BIN)/python -m pytest -m browser tests/test_pages.py

lint: setup ## ruff, mypy, and that imports run downwards only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

.venv/docs: .venv/ready
	$(BIN)/pip install --quiet -c constraints.txt -e '.[docs]'
	@touch $@

docs: .venv/docs ## build the manual into build/manual and check its links and commands (about 3 minutes)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	$(BIN)/python scripts/check_docs.py

readme-figures: setup ## draw the README's figures again (the two demos' runs)
	$(BIN)/python run.py logger=none hydra.run.dir=outputs/readme
	$(BIN)/python run.py experiment=demo_text logger=none hydra.run.dir=outputs/readme_text
	mkdir -p docs/figures
	cp $(addprefix outputs/readme/,$(addprefix figures/,score_final.png inception_score.png kernel_distance.png)) docs/figures/
	cp outputs/readme/images/side_by_side.png docs/figures/
	cp outputs/readme_text/figures/satisfied.png docs/figures/captions_satisfied.png

figures: setup ## the paper's figures and docs/reproduction.md again, from the scores in docs/reproduction/runs (a minute)
	$(BIN)/python -m scripts.reproduction_page

scale ?= 1000

reproduce: setup ## the paper on the embedded models; scale=16 is a rehearsal (8 minutes of one core), 1000 takes many hours
	$(BIN)/python -m scripts.reproduce scale=$(scale)

board ?= class
size ?= protocol

leaderboard: setup ## all searches under one ledger, then docs/leaderboard.md; board=class, text, small, toy; size=small (hours)
	$(BIN)/python -m scripts.leaderboard board=$(board) size=$(size)
	$(BIN)/python -m scripts.leaderboard_rates board=$(board)
	$(BIN)/python -m scripts.leaderboard_page

leaderboard-page: setup ## docs/leaderboard.md and its table again, from the scores in docs/leaderboard (a minute)
	$(BIN)/python -m scripts.leaderboard_page

ONLY ?=
DEVICE ?= cpu

bench: setup ## measure docs/benchmarks.md again (35 minutes, nothing else running); ONLY=sweep,memory DEVICE=cuda
	$(BIN)/python -m scripts.bench --only '$(ONLY)' --device $(DEVICE)

clean: ## remove caches; outputs/, data/ and .venv/ stay
	rm -rf .pytest_cache .ruff_cache .mypy_cache .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.PHONY: help setup demo demo-text test test-pages test-oldest test-newest test-wheel test-slurm lint docs figures readme-figures reproduce leaderboard leaderboard-page bench clean
