# The short way to everything; the build itself is CMake's (CMakePresets.json).
#
# Each target first sees to its own packages. Where that is not wanted, or the
# system is not Debian: make PACKAGES=: TARGET

PACKAGES ?= scripts/install-packages
PREFIX   ?= /usr/local
SEEDS    ?= 1000000
KILLS    ?= 10000
CHAOS_KILLS ?= 2000
SAGAS    ?= 100000

.DEFAULT_GOAL := help
.PHONY: help build demo demo-amqp test check format tsan coverage bench soak install clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /    make \1\t/p' Makefile | expand -t 20

build: ## release build in build/, programs in build/bin/
	@$(PACKAGES) build
	@cmake --preset release
	@cmake --build --preset release

demo: build ## bookings that succeed, fail and survive kill -9, in under two minutes
	@$(PACKAGES) demo
	@scripts/demo

demo-amqp: build ## the same over RabbitMQ: five processes, and what becomes of each
	@$(PACKAGES) demo broker
	@scripts/demo-amqp

test: ## every test, under sanitizers and in release; the last line counts them
	@$(PACKAGES) test
	@scripts/run-tests

check: ## format, static analysis, shell scripts, man pages, includes
	@$(PACKAGES) analysis
	@scripts/check

format: ## clang-format all sources in place
	@$(PACKAGES) analysis
	@git ls-files '*.c' '*.h' | xargs clang-format-14 -i

tsan: ## the tests under the thread sanitizer
	@$(PACKAGES) test
	@cmake --preset tsan
	@cmake --build --preset tsan
	@ctest --preset tsan --parallel $$(nproc)

coverage: ## lines and branches that the tests reach
	@$(PACKAGES) test analysis
	@cmake --preset coverage
	@cmake --build --preset coverage
	@ctest --preset coverage --parallel $$(nproc)
	@gcovr --root . --object-directory build-coverage --exclude tests/ --exclude bench/ \
		--exclude-unreachable-branches --sort-uncovered --txt build-coverage/coverage.txt --print-summary

bench: build ## measures what docs/performance.md records
	@$(PACKAGES) broker
	@for program in build/bench/bench-*; do echo "== $$program"; "$$program" || exit 1; done

soak: build ## the long runs: make soak SEEDS=1000000 KILLS=10000
	@$(PACKAGES) test
	@SEEDS=$(SEEDS) KILLS=$(KILLS) CHAOS_KILLS=$(CHAOS_KILLS) SAGAS=$(SAGAS) scripts/soak

install: build ## into PREFIX (/usr/local), below DESTDIR
	@DESTDIR=$(DESTDIR) cmake --install build --prefix $(PREFIX)

clean: ## removes what these targets build
	@rm -rf build build-dev build-tsan build-coverage build-check
