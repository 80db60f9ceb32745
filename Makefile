# One word for everything a person does with this tree. CMake does the work; this file only names it.
#
#   make demo      two hosts, one bottleneck, three guarantees and a flood: about 20 s, ends with a table and a page
#   make build     build/bin/rtc, build/bin/rtcd, build/bin/rtc-canary
#   make check     the fast tests (under 3 minutes)       make test   all of them, with a time budget per stage
#   make instructions  what an admission decision costs, in instructions, against the stored figures (valgrind)
#   make million   10^6 small sets: admission against brute force, its index against the plain sweep
#   make refute    promises over a chain of links, against a model of their own (python)
#   make campaign [FIRST=1 SEEDS=1000000]  the simulator's long run, goes on where it was interrupted
#   make scale [SCALE=...]  1,000 hosts and 100,000 channels in the simulator: a quarter of an hour
#   make growth    messages, time and memory of a set-up as networks grow, drawn: docs/guide/growth
#   make asan | tsan | tidy | fuzz | bench | model        make install [PREFIX=/usr/local] [DESTDIR=]
#
# JOBS=n sets the parallelism of builds (default: the number of cores).

SHELL := /bin/bash
JOBS ?= $(shell nproc)
BUILD := build
PREFIX ?= /usr/local
PROGRAMS := rtc rtcd rtc-canary
FUZZ_SECONDS ?= 60

.PHONY: help deps configure build all check test demo bench instructions campaign scale growth asan tsan tidy fuzz model million refute install clean

help:
	@sed -n '3,14s/^# \{0,1\}//p' Makefile

deps:
	@scripts/install-deps.sh

configure: $(BUILD)/build.ninja
$(BUILD)/build.ninja: CMakeLists.txt CMakePresets.json
	cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX)

build: configure
	cmake --build $(BUILD) -j $(JOBS) --target $(PROGRAMS)

all: configure
	cmake --build $(BUILD) -j $(JOBS)

check: all
	scripts/run-tests.sh $(BUILD) fast

test: all
	scripts/run-tests.sh $(BUILD) fast slow lab

# Installs what is missing where that is permitted, else says what to type.
demo: deps
	@$(MAKE) --no-print-directory build
	$(BUILD)/bin/rtc demo $(DEMO_ARGS)

bench:
	cmake --preset bench
	cmake --build $(BUILD) -j $(JOBS)
	@set -e; shopt -s nullglob; for program in $(BUILD)/bench/admission_rate $(BUILD)/bench/*_bench $(BUILD)/bin/*_bench; do echo "== $$program"; $$program; done

instructions:
	cmake --preset bench
	cmake --build $(BUILD) -j $(JOBS) --target admission_rate
	bench/instructions.sh $(BUILD)

FIRST ?= 1
SEEDS ?= 1000000
campaign: configure
	cmake --build $(BUILD) -j $(JOBS) --target rtc
	scripts/campaign.sh $(BUILD) $(FIRST) $(SEEDS)

# Others: SCALE="--hosts 2 --shape line --channels 1000000 --rate 1500 --lease 60 --plateau 120 --work-ns 500"; build/bin/sim_scale network --help.
SCALE ?=
scale: configure
	cmake --build $(BUILD) -j $(JOBS) --target sim_scale
	$(BUILD)/bin/sim_scale network $(SCALE)

growth: configure
	cmake --build $(BUILD) -j $(JOBS) --target sim_scale
	tools/scale/growth.sh $(BUILD)

asan tsan:
	cmake --preset $@
	cmake --build build-$@ -j $(JOBS)
	scripts/run-tests.sh build-$@ fast slow $(if $(filter tsan,$@),threads)

tidy: configure
	@scripts/install-deps.sh --tools
	cmake --build $(BUILD) -j $(JOBS) --target $(PROGRAMS)
	scripts/tidy.sh $(BUILD) $(JOBS)

fuzz:
	@scripts/install-deps.sh --tools
	cmake --preset fuzz -DRTCHAN_FUZZ_SECONDS=$(FUZZ_SECONDS)
	cmake --build build-fuzz -j $(JOBS) --target fuzzers
	ctest --test-dir build-fuzz --output-on-failure -j $(JOBS)

# The wake-up protocols of shared memory, every interleaving.
model:
	@scripts/install-deps.sh --tools
	scripts/check-models.sh

# Thousands of drawn sets; then with a rule broken on purpose, which must be seen.
REFUTE_SETS ?= 3000
# Longer than the tests have time for: about five minutes.
million: all
	cmake --build $(BUILD) --target admission_million_sets

refute: build
	tools/refute/chain.py --rtc $(BUILD)/bin/rtc --sets $(REFUTE_SETS)
	@for rule in rem handover delay drift; do echo "== $$rule broken"; \
	  if tools/refute/chain.py --rtc $(BUILD)/bin/rtc --sets 100 --break $$rule 2>/dev/null; then exit 1; fi; done

install: all
	DESTDIR=$(DESTDIR) cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	rm -rf build build-*
