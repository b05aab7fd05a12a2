# tokend: build, prove, show.  `make help` lists the targets.
#
# FLAVOUR=release (default) | asan (address and undefined sanitizers) | tsan (thread sanitizer);
# each lives in build/FLAVOUR.  WERROR= builds without turning warnings into errors.

FLAVOUR ?= release
WERROR ?= -Werror
PREFIX ?= /usr/local
DESTDIR ?=
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0)

B := build/$(FLAVOUR)
GEN := build/gen
PKGS := rdkafka libprotobuf-c libcurl libcjson libsodium libcyaml libmicrohttpd libcrypto

flags_release := -O2 -D_FORTIFY_SOURCE=3
flags_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DTOKEND_SCALED_TIME
flags_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer -DTOKEND_SCALED_TIME

CFLAGS ?= -g
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE $(CFLAGS) $(flags_$(FLAVOUR)) -fPIE -pthread \
	-fstack-protector-strong -fstack-clash-protection -fcf-protection \
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wformat=2 -Wconversion -Wno-sign-conversion $(WERROR) \
	-I. -isystem $(GEN) -DTOKEND_VERSION='"$(VERSION)"' $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
ALL_LDFLAGS = $(flags_$(FLAVOUR)) -pie -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)
LIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null)

PROTOS := tokend/v1/token tokend/v1/journal google/protobuf/timestamp
GEN_C := $(PROTOS:%=$(GEN)/%.pb-c.c)
ROOMS := $(filter-out service/tokend.c,$(wildcard service/*.c service/base/*.c workers/*.c))
LIB_OBJ := $(ROOMS:%.c=$B/%.o) $(PROTOS:%=$B/gen/%.pb-c.o)
CTL_OBJ := $(patsubst %.c,$B/%.o,$(wildcard service/ctl/*.c))
SANDBOX_OBJ := $(patsubst %.c,$B/%.o,$(wildcard tests/sandbox/*.c))
UNITS := $(patsubst tests/unit/%.c,$B/unit/%,$(wildcard tests/unit/test_*.c))
PROGRAMS := $B/tokend $B/tokenctl $B/tokend-sandbox

.PHONY: help deps all demo test test-unit lint install clean
.DEFAULT_GOAL := all

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

all: $(PROGRAMS) ## build the three programs (into build/FLAVOUR)

$B/tokend: $B/service/tokend.o $B/libtokend.a
$B/tokenctl: $(CTL_OBJ) $B/libtokend.a
$B/tokend-sandbox: $(SANDBOX_OBJ) $B/libtokend.a
$(PROGRAMS):
	$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $B/libtokend.a $(LIBS)

$B/libtokend.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$B/%.o: %.c | $(GEN_C)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# protoc-c's own code is not held to our warnings.
$B/gen/%.o: $(GEN)/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -w -MMD -MP -c -o $@ $<

$(GEN_C) &: proto/tokend/v1/token.proto proto/tokend/v1/journal.proto
	@mkdir -p $(GEN)
	protoc-c -I proto -I /usr/include --c_out=$(GEN) $(PROTOS:%=%.proto)

$B/unit/%: tests/unit/%.c $B/libtokend.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(ALL_LDFLAGS) -o $@ $< $B/libtokend.a $(LIBS) -lcmocka

test-unit: $(UNITS) ## the pure rooms, by cmocka
	@for t in $(UNITS); do $$t || exit 1; done

clean: ## remove what was built
	rm -rf build

-include $(LIB_OBJ:.o=.d) $(CTL_OBJ:.o=.d) $(SANDBOX_OBJ:.o=.d) $(UNITS:=.d) $B/service/tokend.d
