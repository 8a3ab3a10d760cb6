# Every command of the project. Needs Python 3.11 or later, a Rust toolchain and make; everything else goes into .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/stamps
SHELL  := bash
.SHELLFLAGS := -eu -o pipefail -c

RUST_SOURCES := Cargo.toml Cargo.lock $(shell find crates -type f \( -name '*.rs' -o -name Cargo.toml \))

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz coverage lint bench docs build wheel audit clean lock format

help: ## show these lines
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 10

demo: build ## build if needed, then run the Owls analysis end to end
	$(BIN)/ranef demo

build: $(STAMPS)/extension ## create .venv and compile the extension in release mode

# With the extension's package among them, though it has no Rust tests, the features of all dependencies are those that it was
# compiled with a moment ago: otherwise cargo would compile every one of them, and the engine, once more.
ENGINE_TESTS := cargo test --release --locked --workspace --exclude ranef-kernels
test: build ## Rust tests, then Python tests (stub, imports and architecture included)
	$(ENGINE_TESTS)
	$(BIN)/pytest -n 2 --dist loadfile

SECONDS ?= 600
FUZZ := crates/ranef-engine/fuzz
FINDINGS := crates/ranef-engine/tests/hostile/findings
# What cargo-fuzz passes to the compiler, so that a stable toolchain and a C++ compiler are enough.
FUZZ_FLAGS := -Cpasses=sancov-module -Ccodegen-units=1 -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing
fuzz: build ## fuzz Python for half of SECONDS=600 and the engine for the other; exit status 1 where something was found
	host=$$(rustc --version --verbose | sed -n 's/^host: //p'); \
	RUSTFLAGS="$(FUZZ_FLAGS)" cargo build --release --locked --manifest-path $(FUZZ)/Cargo.toml --target $$host; \
	for target in density structure model; do \
		mkdir -p $(FUZZ)/corpus/$$target $(FUZZ)/artifacts/$$target $(FINDINGS)/$$target; \
		$(FUZZ)/target/$$host/release/$$target -max_total_time=$$(($(SECONDS) / 6)) -timeout=60 -rss_limit_mb=4096 -max_len=2048 \
			-print_final_stats=1 -artifact_prefix=$(FUZZ)/artifacts/$$target/ $(FUZZ)/corpus/$$target \
			$(FINDINGS)/$$target; \
	done
	$(BIN)/python tests/hostile/fuzz.py $$(($(SECONDS) / 2))

# The package holds the instrumented engine afterwards, so the stamp goes first: the next build puts the ordinary one back.
COVERED := $(abspath target/coverage)
coverage: $(STAMPS)/tools ## line coverage of engine and package by all their tests; exit status 1 where one is below 90 %
	rm -rf $(STAMPS)/extension $(COVERED)/*.lcov $(COVERED)/python* $(COVERED)/*.profraw
	mkdir -p $(COVERED)
	export CARGO_TARGET_DIR=$(COVERED); settings=$$(cargo llvm-cov show-env --sh --no-cfg-coverage); eval "$$settings"; \
	$(ENGINE_TESTS); \
	env -u CONDA_PREFIX VIRTUAL_ENV=$(abspath $(VENV)) PATH="$(abspath $(BIN)):$$PATH" $(BIN)/maturin develop --release --locked; \
	$(BIN)/coverage run -m pytest -n 2 --dist loadfile; \
	cargo llvm-cov report --release --lcov --output-path $(COVERED)/engine.lcov
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --show-missing --fail-under=90
	$(PYTHON) tests/engine_coverage.py $(COVERED)/engine.lcov 90

lint: $(STAMPS)/tools ## rustfmt, clippy, ruff and mypy; changes nothing
	cargo fmt --all --check
	PYO3_PYTHON=$(abspath $(BIN)/python) cargo clippy --profile lint --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMPS)/tools ## rewrite Rust and Python sources in the house format
	cargo fmt --all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: build ## the engine's kernels, import time, growth with rows (figure in target/scaling.png), then every rival installed
	cargo bench --locked -p ranef-kernels
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/scaling.py 7 target/scaling.png
	$(BIN)/python benchmarks/run.py

wheel: $(STAMPS)/tools ## build the wheel into target/wheels, look into it, install it alone and let it work
	rm -rf target/wheels
	RUSTFLAGS="--remap-path-prefix=$(CURDIR)=ranef --remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}=cargo" \
		env -u CONDA_PREFIX $(BIN)/maturin build --release --locked --out target/wheels --interpreter $(BIN)/python
	$(PYTHON) tests/wheel/contents.py target/wheels/*.whl
	$(PYTHON) -m venv target/wheels/alone
	target/wheels/alone/bin/pip install --quiet --disable-pip-version-check --only-binary :all: target/wheels/*.whl
	env -i HOME="$$HOME" PATH=/usr/bin:/bin target/wheels/alone/bin/python -I tests/wheel/smoke.py

audit: $(STAMPS)/tools ## origins, licences and build scripts of the crates (cargo-deny); known vulnerabilities, where the lists can be had
	cargo deny --locked check bans licenses sources
	if cargo deny fetch db; then cargo deny --locked check advisories; else echo "advisories of crates: out of reach, not checked"; fi
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	$(VENV)/audit/bin/pip-audit --no-deps --disable-pip --requirement requirements-dev.lock

docs: build ## build the documentation into target/site
	$(BIN)/mkdocs build --strict

# What pyproject.toml asks for, one requirement a line: the build, the package, and every dependency group.
REQUIREMENTS = import tomllib; p = tomllib.load(open("pyproject.toml", "rb")); \
	print(*p["build-system"]["requires"], *p["project"]["dependencies"], *sum(p["dependency-groups"].values(), []), sep="\n")

lock: ## resolve the newest versions and rewrite requirements-dev.lock
	rm -rf $(VENV)/lock
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/pip install --quiet --disable-pip-version-check --requirement <($(PYTHON) -c '$(REQUIREMENTS)')
	{ echo "# Written by 'make lock'."; $(VENV)/lock/bin/pip freeze --disable-pip-version-check; } > requirements-dev.lock
	rm -rf $(VENV)/lock

clean: ## remove .venv and everything built
	rm -rf $(VENV) target .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f python/ranef/_engine*.so

$(STAMPS)/tools: requirements-dev.lock
	$(PYTHON) -c 'import sys; sys.exit("ranef needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements-dev.lock
	mkdir -p $(STAMPS)
	touch $@

$(STAMPS)/extension: $(STAMPS)/tools pyproject.toml $(RUST_SOURCES)
	env -u CONDA_PREFIX VIRTUAL_ENV=$(abspath $(VENV)) PATH="$(abspath $(BIN)):$$PATH" $(BIN)/maturin develop --release --locked
	touch $@
