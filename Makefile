# tokend: build, prove, show.  `make help` lists the targets.
#
# FLAVOUR=release (default) | asan (address and undefined sanitizers) | tsan (thread sanitizer) | chaos (a test may
# kill it at named places and switch rules off: service/base/chaos.h); each lives in build/FLAVOUR.
# WERROR= builds without turning warnings into errors, V=1 shows the commands.
#
# Nothing is installed by `make` alone. demo and test install what is missing first, and only then
# start a make of their own: this one was read when there may have been no pkg-config to ask.

FLAVOUR ?= release
WERROR ?= -Werror
PREFIX ?= /usr/local
DESTDIR ?=
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0)
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += --jobs=$(shell nproc)
endif

# libFuzzer is clang's. So are these two warnings: assert(!"words"), and formats that are passed on.
ifneq ($(filter fuzz%,$(FLAVOUR)),)
CC := clang-14
warnings_clang := -Wno-string-conversion -Wno-format-nonliteral
endif

B := build/$(FLAVOUR)
GEN := build/gen
PKGS := rdkafka libprotobuf-c libcurl libcjson libsodium libcyaml libmicrohttpd libcrypto
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

flags_release := -O2 -D_FORTIFY_SOURCE=3
flags_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DTOKEND_SCALED_TIME
flags_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer -DTOKEND_SCALED_TIME
flags_chaos := -O2 -D_FORTIFY_SOURCE=3 -DTOKEND_SCALED_TIME -DTOKEND_CHAOS
flags_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined,float-cast-overflow -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
flags_fuzzcov := -O0 -g -fprofile-instr-generate -fcoverage-mapping
warnings := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wformat=2 \
	-Wconversion -Wno-sign-conversion $(warnings_clang) $(WERROR)

CFLAGS ?= -g
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE $(CFLAGS) $(flags_$(FLAVOUR)) -fPIE -pthread \
	-fstack-protector-strong -fstack-clash-protection -fcf-protection $(warnings) \
	-I. -isystem $(GEN) -DTOKEND_VERSION='"$(VERSION)"' $(PKG_CFLAGS)
ALL_LDFLAGS = $(flags_$(FLAVOUR)) -pie -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)

# All rooms but the two mains make one archive; each program is its main and what it takes out of it.
PROTOS := tokend/v1/token tokend/v1/journal google/protobuf/timestamp
GEN_C := $(PROTOS:%=$(GEN)/%.pb-c.c)
MAINS := service/tokend.c service/ctl/tokenctl.c
UNCHAOTIC := $(if $(filter chaos,$(FLAVOUR)),,service/base/chaos.c)
ROOMS := $(filter-out $(MAINS) $(UNCHAOTIC),$(wildcard service/*.c service/base/*.c service/ctl/*.c workers/*.c))
LIB_OBJ := $(ROOMS:%.c=$B/%.o) $(PROTOS:%=$B/gen/%.pb-c.o)
NAIVE_OBJ := $B/tests/memory/naive.o
SANDBOX_OBJ := $(patsubst %.c,$B/%.o,$(wildcard tests/sandbox/*.c))
FUZZ_OBJ := $(patsubst %.c,$B/%.o,$(wildcard tests/fuzz/*.c))
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,$B/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
UNITS := $(patsubst tests/unit/%.c,$B/unit/%,$(wildcard tests/unit/test_*.c))
TIDY_TESTS := $(wildcard tests/sandbox/*.c tests/memory/*.c tests/fuzz/*.c)
TIDY := $(patsubst %.c,build/lint/%.tidy,$(MAINS) $(ROOMS) $(TIDY_TESTS))
SCRIPTS := .ci/run $(wildcard tests/*.sh) tests/demo/demo
PROGRAMS := $B/tokend $B/tokenctl $B/tokend-sandbox
TSAN_OBJ := $(if $(filter tsan,$(FLAVOUR)),$B/tests/tsan.o)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $@)

.PHONY: help deps all units naive fuzzers demo test chaos model fuzz fuzz-coverage fuzz-planted test-unit install \
	clean lint lint-walls lint-lines lint-scripts lint-cppcheck
.DEFAULT_GOAL := all
.SECONDARY: $(FUZZ_OBJ)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

deps: ## install the Debian packages that building needs
	@tests/deps.sh build

all: $(PROGRAMS) ## build the three programs into build/FLAVOUR

demo: ## see tokens requested, minted, sealed and opened (KEEP=1 leaves it running)
	@tests/deps.sh build demo
	@$(MAKE) -s all
	@BUILD=$B tests/demo/demo

test: ## prove it: units, sandbox, a real Kafka; sanitizers too
	@tests/deps.sh build test fuzz lint
	@tests/run

model: ## explore the protocol's models at large bounds (WHAT=road: that one alone)
	@tests/model/run --exhaustive --jobs $(or $(JOBS),2) $(WHAT)

fuzz: ## let the fuzzers look for SECONDS=60 each (TARGET=decode: that one alone)
	@tests/deps.sh build fuzz
	@$(MAKE) --no-print-directory FLAVOUR=fuzz fuzzers
	@tests/fuzz/run --seconds $(or $(SECONDS),60) $(TARGET)

fuzz-coverage: ## which lines of the parsers their corpora reach
	@tests/deps.sh build fuzz
	@$(MAKE) --no-print-directory FLAVOUR=fuzzcov fuzzers
	@tests/fuzz/run --coverage $(TARGET)

fuzz-planted: ## do the fuzzers find bugs that are put in for them?
	@tests/deps.sh build fuzz
	@$(MAKE) --no-print-directory FLAVOUR=fuzz fuzzers
	@tests/fuzz/planted $(TARGET)

chaos: ## the promise under fire: SEED=1 REQUESTS=2000 KILLS=40 INSTANCES=3 [MUTATE=R3 [CONTROL=1]] (KEEP=1 keeps all)
	@tests/deps.sh build test
	@$(MAKE) --no-print-directory FLAVOUR=chaos all
	@tests/chaos/chaos $(SEED:%=--seed %) $(REQUESTS:%=--requests %) $(KILLS:%=--kills %) \
		$(INSTANCES:%=--instances %) $(MUTATE:%=--mutate %) $(if $(CONTROL),--control) $(if $(KEEP),--keep)

test-unit: $(UNITS) ## the unit tests alone
	@for t in $(UNITS); do $$t || exit 1; done

lint: ## the walls, line lengths, shellcheck, cppcheck and clang-tidy over all of the C code
	@tests/deps.sh build lint
	@$(MAKE) --no-print-directory -k lint-walls lint-lines lint-scripts lint-cppcheck $(TIDY)

lint-walls:
	@tests/walls.sh

lint-lines:
	@tests/lines.sh 120

lint-scripts:
	@shellcheck -x $(SCRIPTS)

lint-cppcheck: | $(GEN_C)
	@cppcheck -q --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		-I. -I$(GEN) --suppress='*:$(GEN)/*' --include=/usr/include/cjson/cJSON.h \
		service workers tests/sandbox tests/memory tests/fuzz

install: all ## install the three programs and their manual pages below DESTDIR/PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	$B/tokenctl help --man | install -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/share/man/man1/tokenctl.1
	install -m 644 service/man/tokend-sandbox.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 service/man/tokend.8 $(DESTDIR)$(PREFIX)/share/man/man8

clean: ## remove what was built
	rm -rf build

units: $(UNITS)

naive: $B/tokend-naive

fuzzers: $(FUZZERS)

$B/tokend: $B/service/tokend.o
$B/tokenctl: $B/service/ctl/tokenctl.o
$B/tokend-sandbox: $(SANDBOX_OBJ)
$(PROGRAMS): $B/libtokend.a $(TSAN_OBJ)
	$(call say,LINK)
	$Q$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $< $(LIBS)

# tokend without its precautions: what a search of its memory must find (tests/memory/naive.c).
$B/tokend-naive: $B/service/tokend.o $(NAIVE_OBJ) $B/libtokend.a
	$(call say,LINK)
	$Q$(CC) $(ALL_LDFLAGS) -Wl,-z,lazy -o $@ $^ $(LIBS)

$B/libtokend.a: $(LIB_OBJ)
	$(call say,AR)
	@rm -f $@
	$Q$(AR) qcs $@ $^

$B/%.o: %.c | $(GEN_C)
	$(call say,CC)
	@mkdir -p $(@D)
	$Q$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# protoc-c's own code is not held to our warnings.
$B/gen/%.o: $(GEN)/%.c
	$(call say,CC)
	@mkdir -p $(@D)
	$Q$(CC) $(ALL_CFLAGS) -w -MMD -MP -c -o $@ $<

$(GEN_C) &: proto/tokend/v1/token.proto proto/tokend/v1/journal.proto
	$(if $(LIBS),,$(error libraries are missing; `make deps` installs them))
	$(call say,PROTO)
	@mkdir -p $(GEN)
	$Qprotoc-c -I proto -I /usr/include --c_out=$(GEN) $(PROTOS:%=%.proto)

$B/unit/%: tests/unit/%.c $B/libtokend.a $(TSAN_OBJ)
	$(call say,TEST)
	@mkdir -p $(@D)
	$Q$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(ALL_LDFLAGS) -o $@ $< $(TSAN_OBJ) $B/libtokend.a $(LIBS) -lcmocka

# A file is looked at again whenever it has to be compiled again.
build/lint/%.tidy: $B/%.o .clang-tidy
	$(call say,TIDY)
	@mkdir -p $(@D)
	$Qclang-tidy-14 --quiet $*.c -- $(filter-out -fcf-protection,$(ALL_CFLAGS))
	@touch $@

$B/fuzz/%: $B/tests/fuzz/fuzz_%.o $B/tests/fuzz/harness.o $B/libtokend.a
	$(call say,FUZZ)
	@mkdir -p $(@D)
	$Q$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

-include $(LIB_OBJ:.o=.d) $(SANDBOX_OBJ:.o=.d) $(NAIVE_OBJ:.o=.d) $(FUZZ_OBJ:.o=.d) $(UNITS:=.d) $(MAINS:%.c=$B/%.d)
