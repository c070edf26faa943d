# The front door: verbs only. All work is Meson's (meson.build) and that of the scripts in tools/.

PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?= $(shell nproc)
ninja = ninja -j $(JOBS) $(if $(V),-v,--quiet) -C
# Addresses where sanitizers want them, also under kernels that randomise more bits.
still = $(shell setarch -R true 2>/dev/null && echo setarch -R)

.DEFAULT_GOAL := build
.PHONY: setup build test demo bench install check asan tsan valgrind clean

# Install what is missing of the packages named in tools/packages.
setup:
	@tools/setup build test

build: setup
	@tools/configure build
	@$(ninja) build

test: build
	@tools/tests --run build

demo: build
	@build/torc-demo $(ARGS)

bench: setup
	@tools/setup bench
	@tools/configure build
	@$(ninja) build all bench
	@bench/run --build build

# As root nothing is compiled anew when `make` was called before.
install:
	@test -f build/build.ninja || $(MAKE) --no-print-directory build
	@echo "$(abspath $(PREFIX))" | cmp -s - build/.prefix || \
		meson setup --reconfigure build -Dprefix="$(abspath $(PREFIX))" >build/.configure.log
	@echo "$(abspath $(PREFIX))" >build/.prefix
	@$(ninja) build >build/.configure.log || { cat build/.configure.log; exit 1; }
	@DESTDIR="$(DESTDIR)" meson install -C build --no-rebuild --quiet

check: build
	@tools/setup check
	tools/format
	tools/floors --selftest
	tools/floors
	tools/floors --objects build
	tools/headers
	tools/exports build
	tools/docs build

asan: setup
	@tools/setup check
	@tools/configure build-asan -Db_sanitize=address,undefined -Doptimization=1
	@$(ninja) build-asan
	@UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
		$(still) tools/tests --run build-asan

tsan: setup
	@tools/setup check
	@tools/configure build-tsan -Db_sanitize=thread -Doptimization=1
	@$(ninja) build-tsan
	@$(still) tools/tests --run build-tsan

# What runs other programs, which valgrind does not follow, and what counts costs.
untraced = --no-suite examples --no-suite harness_selftest --no-suite counts

valgrind: setup
	@tools/setup check
	@tools/configure build-valgrind -Dvalgrind=true -Doptimization=1
	@$(ninja) build-valgrind
	@tools/tests --run build-valgrind $(untraced) \
		--wrap "valgrind --quiet --error-exitcode=99 --fair-sched=yes --max-stackframe=16777216"

clean:
	rm -rf build build-asan build-tsan build-valgrind build-aarch64
