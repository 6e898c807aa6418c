# `make demo` and `make test` set up everything they need in .venv and run from a fresh checkout.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# pip compiles no modules: those few that are imported are compiled once, when they are.
unexport PYTHONDONTWRITEBYTECODE
PIP_INSTALL := $(BIN)/python -m pip install --quiet --no-compile
# The extension and the C++ tests have the core in common, so one folder of CMake's serves both.
BUILD := build/release
# A compiler cache, where there is one, that knows files of another checkout too.
ifneq ($(shell command -v ccache),)
export CCACHE_BASEDIR ?= $(CURDIR)
export CMAKE_C_COMPILER_LAUNCHER ?= ccache
export CMAKE_CXX_COMPILER_LAUNCHER ?= ccache
endif
# pytest on two cores; without slow tests, which test-all runs.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist worksteal
PYTEST_ARGS ?= -m "not slow"
# What tests run of the release build; test-all builds the benchmarks too.
PROGRAMS := kernel_tests seaformer_native seaformer_shared

NATIVE_SOURCES := $(shell find csrc python -name '*.cpp' -o -name '*.h' -o -name '*.inc' -o -name '*.map') \
                  $(shell find . -name CMakeLists.txt -not -path './build/*' -not -path './.venv/*')
# Seconds under emulation; test-arm runs all, built by another compiler.
CROSS_TESTS := isa pointwise depthwise bilinear sea_attention
CXX_FILES := $(shell find cmake csrc python tests benchmarks examples -name '*.c' -o -name '*.cpp' -o -name '*.h' \
              -o -path 'csrc/simd/*.inc')

.PHONY: help setup demo core test test-all test-cpp test-python sanitize fuzz wheel wheel-arm wheels \
        sdist check-release test-arm cross cross-macos cross-arm cross-x86 ci bench bench-ops \
        bench-arm lint docs clean

help:  ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

$(VENV)/.builders: requirements-build.txt
	@$(PYTHON) -m venv $(VENV) || { echo "error: '$(PYTHON) -m venv' failed;" \
	  "on Debian and Ubuntu it needs the package python3-venv" >&2; exit 1; }
	$(PIP_INSTALL) -r $<
	@touch $@

$(VENV)/.requirements: requirements-dev.txt | $(VENV)/.builders
	$(PIP_INSTALL) -r $<
	@touch $@

$(VENV)/.lint $(VENV)/.cross $(VENV)/.docs $(VENV)/.ray $(VENV)/.wheels: $(VENV)/.%: requirements-%.txt | $(VENV)/.requirements
	$(PIP_INSTALL) -r $<
	@touch $@

core: $(VENV)/.builders  ## the torch-free library; set-up compiles it while pip unpacks
	cmake --preset release >/dev/null
	MAKEFLAGS= cmake --build --preset release --target seaformer_core

# One core compiles while the other unpacks packages. Where nothing compiles, the last step says why
# and installs plain PyTorch.
$(VENV)/.package: requirements-dev.txt setup.py pyproject.toml $(NATIVE_SOURCES) | $(VENV)/.builders
	$(MAKE) --no-print-directory --jobs=2 --keep-going core $(VENV)/.requirements || \
	  $(MAKE) --no-print-directory $(VENV)/.requirements
	SEAFORMER_BUILD_DIR=$(CURDIR)/$(BUILD) \
	  $(PIP_INSTALL) --no-build-isolation --no-deps --editable .
	@touch $@

setup: $(VENV)/.package $(VENV)/.lint $(VENV)/.cross $(VENV)/.docs $(VENV)/.ray  ## all that the other targets take

demo: $(VENV)/.package  ## segment a photograph (IMAGE=path for another), beside eager PyTorch
	$(BIN)/seaformer demo $(IMAGE) $(DEMO_ARGS)

test: test-python  ## all native tests but the slow ones

test-all: PYTEST_ARGS :=
test-all: PROGRAMS := all
test-all: $(VENV)/.ray test-python  ## all native tests

test-cpp: $(VENV)/.package  ## the torch-free kernels
	cmake --preset release >/dev/null
	cmake --build --preset release --target $(PROGRAMS)
	ctest --preset release

test-python: test-cpp  ## the Python package, behind the kernels
	@$(BIN)/python -c "from seaformer_kernels import _extension as e; \
	  e.module or exit(f'error: the native extension is missing: {e.reason}')"
	$(PYTEST) $(PYTEST_ARGS)

sanitize: $(VENV)/.builders  ## the kernels under AddressSanitizer and UndefinedBehaviorSanitizer
	cmake --preset asan-ubsan
	cmake --build --preset asan-ubsan --target kernel_tests seaformer_native
	ctest --preset asan-ubsan

fuzz: $(VENV)/.requirements  ## fuzz model files, the C API and the ops (FUZZ_SECONDS=60 each)
	tests/fuzz/fuzz.sh

wheel: $(VENV)/.requirements  ## build dist/*.whl for this machine and Python
	SEAFORMER_BUILD_EXTENSION=1 $(BIN)/python -m pip wheel --quiet --no-build-isolation --no-deps \
	  --wheel-dir dist .

wheels: $(VENV)/.wheels  ## build dist/*.whl for every Python on Linux, in containers, and test them
	$(BIN)/python -m cibuildwheel --platform linux --output-dir dist

sdist: $(VENV)/.requirements  ## build dist/*.tar.gz, the sources
	SEAFORMER_BUILD_EXTENSION=0 $(BIN)/python setup.py --quiet sdist

check-release:  ## see that TAG names this version, and that the changelog tells of it
	@version=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' seaformer_kernels/_version.py); \
	  [ "$$TAG" = "v$$version" ] || { echo "error: expected TAG=v$$version, got '$$TAG'" >&2; exit 1; }; \
	  grep -q "^## \[$$version\]" CHANGELOG.md || \
	  { echo "error: expected '## [$$version] - date' in CHANGELOG.md" >&2; exit 1; }

wheel-arm: $(VENV)/.cross  ## cross-build dist/*_aarch64.whl for Linux on ARM, and check it
	tests/arm/make_wheel.sh

test-arm: $(VENV)/.package $(VENV)/.cross  ## cross-build for aarch64, test under emulation, the Python part by the wheel
	tests/arm/test_arm.sh

cross: cross-macos cross-arm cross-x86  ## build the core by clang: the three that follow

# Not its tests, which cross-arm builds by the same compiler: nothing here can run them.
cross-macos: $(VENV)/.cross  ## by clang for macOS on ARM
	cmake --preset aarch64-macos
	cmake --build --preset aarch64-macos --target seaformer_native seaformer_shared

cross-arm: $(VENV)/.cross  ## by clang for Linux on ARM, static, and run some tests
	cmake --preset aarch64-musl
	cmake --build --preset aarch64-musl --target $(PROGRAMS)
	qemu-aarch64 -cpu cortex-a53 build/aarch64-musl/kernel_tests $(CROSS_TESTS)

cross-x86: $(VENV)/.cross  ## by clang for Linux on x86, static, and run all tests
	cmake --preset x86_64-musl
	cmake --build --preset x86_64-musl --target $(PROGRAMS)
	build/x86_64-musl/kernel_tests

ci:  ## everything a change must pass; as root it installs what it needs of Debian's packages
	.ci/run

bench: $(VENV)/.package  ## time models beside other runtimes (BENCH_ARGS=--quick: 3 minutes)
	$(BIN)/seaformer bench $(BENCH_ARGS)

bench-ops: $(VENV)/.package  ## time ops and blocks against PyTorch (BENCH_ARGS=--quick: less)
	$(BIN)/python -m pytest benchmarks/bench_*.py $(BENCH_ARGS)

bench-arm: $(VENV)/.package $(VENV)/.cross  ## counts, cycles and cache misses on ARM (BENCH_ARGS=--quick: 3 minutes)
	cmake --preset aarch64
	cmake --build --preset aarch64
	tests/arm/make_site.sh
	$(BIN)/python benchmarks/arm/bench_upsample_argmax.py
	$(BIN)/python benchmarks/arm/bench_arm.py $(BENCH_ARGS)

lint: $(VENV)/.lint  ## formatting and static checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(CXX_FILES)
	$(BIN)/mypy
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms \
	  $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/zizmor --offline --quiet .github

docs: $(VENV)/.package $(VENV)/.docs  ## build the site build/docs/index.html; links and docstrings are checked
	$(BIN)/python -m sphinx -E -W --keep-going -n -q -c docs -d build/doctrees . build/docs

clean:  ## remove everything that was built
	rm -rf $(VENV) build dist seaformer_kernels/*.so seaformer_kernels/_build_failure.txt
