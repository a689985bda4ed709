# make demo: fit the digits and say where the report is.  make test: everything that CI checks.
# make test-all: the same, with every sentence of the grid where `make test` takes a sample.
# All of them set up .venv/ first where it is missing or out of date.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTHON ?= python3

.PHONY: demo test test-all lint types unit docs derivation clean

demo: $(INSTALLED)
	$(BIN)/vaekit fit digits --output digits.vae --force

test: lint types docs unit

test-all: export VAEKIT_GRID := whole
test-all: test

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/pyright

# Two processes of one thread each: small tests gain nothing from threads inside a product.
unit: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

# The pages' code is run anew at every build; warnings are errors. Needs no network.
docs: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build --builder html --fail-on-warning --keep-going --jobs 2 --fresh-env \
		--quiet docs docs/_build/html
	@echo 'the pages: docs/_build/html/index.html'

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[development]'
	touch $@

# The derivation as a paper; needs Debian's texlive-latex-base, -recommended and -fonts-recommended.
derivation:
	mkdir -p docs/_build/derivation
	cd docs/derivation && for pass in 1 2; do \
		pdflatex -interaction=nonstopmode -halt-on-error -output-directory ../_build/derivation gaussian_kl.tex; \
	done

clean:
	rm -rf $(VENV) build dist docs/_build .pytest_cache .ruff_cache
