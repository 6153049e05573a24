# make          build everything into build/ (SAN=asan, SAN=tsan: into build/asan, build/tsan)
# make demo     the main job on a network of its own; root
# make check    all tests, scaled down; root
# make accept L=P3   one acceptance line at full size
# make fuzz T=kpi N=1000000   look for inputs that break a parser; those that reach new code are kept
# make bench   cost of the stages · make lint · make deps · make install PREFIX= DESTDIR= · make clean

PREFIX ?= /usr/local
CC = gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
VXPROBE_CAPTURES ?= ../shared/captures
export VXPROBE_CAPTURES

$(if $(filter-out asan tsan fuzz cover,$(SAN)),$(error SAN=$(SAN): asan, tsan, fuzz and cover there are))
B := build$(if $(SAN),/$(SAN))
SANITIZE_asan := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# TSan does not model the fences of handoff's bell; ring-handoff would hang on a missed wake-up.
SANITIZE_tsan := -fsanitize=thread -Wno-tsan
# Of the fuzz targets alone, by clang: with libFuzzer, and to see which lines a corpus reaches.
SANITIZE_fuzz := $(SANITIZE_asan) -fsanitize=fuzzer-no-link
SANITIZE_cover := -fprofile-instr-generate -fcoverage-mapping
ifneq ($(filter fuzz cover,$(SAN)),)
CC := $(CLANG)
endif
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla $(if $(CI),-Werror)
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu17 $(WARN) $(CFLAGS) $(SANITIZE_$(SAN)) -Iprobe -Iinclude -I$(B)/gen \
	-isystem $(B) -MMD -MP -pthread
LDLIBS := -lxdp -lbpf -lpcap -lzstd -lcrypto -lyaml -lmicrohttpd -ljansson -lncursesw -lz -lcap-ng -lmnl -lsystemd -lm

PROBE := $(wildcard probe/*/*.c)
UNIT := $(wildcard tests/unit/*.c) $(filter-out %/failing.c,$(wildcard tests/support/*.c))
RING := $(wildcard tests/ring/*.c)
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,$(B)/fuzz-%,$(wildcard tests/fuzz/fuzz_*.c))
PROGRAMS := $(B)/vxprobe $(B)/vxcap $(B)/vxmirror
# Quiet unless V=1.
Q := $(if $(V),,@)
obj = $(patsubst %.c,$(B)/%.o,$(1))

all: $(PROGRAMS)

$(B)/vxprobe: $(call obj,probe/main.c) $(B)/libprobe.a
$(B)/vxcap: $(call obj,$(wildcard tools/vxcap*.c)) $(B)/libprobe.a
$(B)/vxcap: LDLIBS += -lssh
$(B)/vxmirror: $(call obj,$(wildcard tools/vxmirror*.c)) $(B)/libprobe.a
$(B)/unit: $(call obj,$(UNIT) tools/vxcap_flow.c tools/vxcap_heap.c tools/vxcap_url.c) $(B)/libprobe.a
$(B)/unit: LDLIBS += -lcriterion
$(B)/bench_stages: $(call obj,bench/bench_stages.c) $(B)/libprobe.a
$(B)/bench_writer: $(call obj,bench/bench_writer.c) $(B)/libprobe.a
$(B)/bench_kpi: $(call obj,bench/bench_kpi.c bench/mix.c) $(B)/libprobe.a
$(B)/mixgen: $(call obj,bench/mixgen.c bench/mix.c)
$(B)/conform-xdp: $(call obj,tests/conform_xdp.c tests/support/conform.c tests/support/packet.c) \
	$(B)/libprobe.a
$(B)/cut: $(call obj,tests/cut.c) $(B)/libprobe.a
$(B)/events: $(call obj,tests/events.c) $(B)/libprobe.a
$(B)/sealed: $(call obj,tests/sealed.c) $(B)/libprobe.a
$(B)/retain: $(call obj,tests/retain.c) $(B)/libprobe.a
$(RING:tests/ring/%.c=$(B)/ring-%): $(B)/ring-%: $(B)/tests/ring/%.o $(B)/libprobe.a
# Preloaded into a program, whose calls it makes fail.
$(B)/failing.so: tests/support/failing.c
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$Q$(CC) -std=gnu17 $(WARN) -O2 -g -shared -fPIC $< -o $@
$(B)/fuzz-flow: $(call obj,tools/vxcap_flow.c)
# With libFuzzer's main, or with one that replays a corpus.
$(FUZZ): $(B)/fuzz-%: $(B)/tests/fuzz/fuzz_%.o $(call obj,tests/fuzz/file.c) \
	$(if $(filter fuzz,$(SAN)),,$(call obj,tests/fuzz/replay.c)) $(B)/libprobe.a
$(if $(filter fuzz,$(SAN)),$(FUZZ): SANITIZE_fuzz += -fsanitize=fuzzer)
# The parsers are to be covered, not what feeds them.
$(call obj,$(wildcard tests/fuzz/*.c)): SANITIZE_fuzz := $(SANITIZE_asan)
$(FUZZ) $(PROGRAMS) $(B)/unit $(B)/conform-xdp $(B)/cut $(B)/events $(B)/sealed $(B)/retain $(B)/bench_stages $(B)/bench_writer $(B)/bench_kpi $(B)/mixgen $(RING:tests/ring/%.c=$(B)/ring-%):
	@echo "  LD    $@"
	$Q$(CC) $(CFLAGS) $(SANITIZE_$(SAN)) -pthread $^ $(LDLIBS) -o $@

$(B)/libprobe.a: $(call obj,$(PROBE))
	@echo "  AR    $@"
	$Qrm -f $@ && ar rcs $@ $^

# Rewritten only when it differs, so that a commit recompiles what shows the version.
$(B)/gen/version.h: FORCE
	@mkdir -p $(@D)
	@echo '#define VERSION "$(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)"' >$@.new
	@cmp -s $@.new $@ || cp $@.new $@

# The kernel half: clang compiles it, bpftool makes the header that carries it.
$(B)/steer.bpf.o: bpf/steer.bpf.c | deps
	@mkdir -p $(@D)
	@echo "  BPF   $@"
	$Q$(CLANG) -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Iinclude \
		-I/usr/include/$(shell uname -m)-linux-gnu -MMD -MP -c $< -o $@
$(B)/steer.skel.h: $(B)/steer.bpf.o
	@echo "  GEN   $@"
	$Q$(BPFTOOL) gen skeleton $< name steer > $@.new && mv $@.new $@
$(call obj,probe/path/attach.c): $(B)/steer.skel.h

$(B)/probe/path/%.o: WARN += -Wconversion
$(B)/%.o: %.c | deps $(B)/gen/version.h
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$Q$(CC) $(ALL_CFLAGS) -c $< -o $@

$(call obj,$(UNIT)): | deps-check

# Install what is missing, or say what it is. Quick when nothing is.
deps:
	@tools/deps build
deps-check deps-accept deps-demo deps-lint: deps-%: deps
	@tools/deps $*

# All that is compiled.
everything: all $(B)/unit $(B)/conform-xdp $(B)/cut $(B)/events $(B)/sealed $(B)/retain $(B)/failing.so $(B)/bench_stages $(B)/bench_writer $(B)/bench_kpi $(B)/mixgen \
	$(RING:tests/ring/%.c=$(B)/ring-%) $(FUZZ)

check: everything deps-check
	tests/run $(B)

accept: all $(B)/unit $(B)/events $(B)/sealed $(B)/retain $(B)/failing.so $(B)/bench_writer $(B)/bench_kpi $(B)/mixgen deps-accept
	tests/accept/$(or $(L),$(error which line? make accept L=P1, or another of tests/accept)) $(B)

demo: all deps-demo
	tools/demo $(B)

fuzz: deps-accept
	@$(MAKE) --no-print-directory SAN=fuzz build/fuzz/fuzz-$(or $(T),$(error which parser? make fuzz T=packet, or another of tests/fuzz))
	tests/fuzz/run build/fuzz $(T) $(or $(N),1000000)

bench: all $(B)/bench_stages
	$(B)/vxmirror wrap $(VXPROBE_CAPTURES)/mixed-many-protocols.pcap - | $(B)/bench_stages

lint: deps-lint
	tools/lint $(B)

install: all
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin lib/systemd/system share/vxprobe share/man/man1 \
		share/man/man5 share/man/man7 share/man/man8)
	install $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 tools/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 probe/*.5 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 tools/*.7 $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 644 probe/*.8 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 tools/deploy/*.yaml $(DESTDIR)$(PREFIX)/share/vxprobe
	sed 's|/usr/local/|$(PREFIX)/|' tools/deploy/vxprobe.service \
		>$(DESTDIR)$(PREFIX)/lib/systemd/system/vxprobe.service

clean:
	rm -rf build

.PHONY: FORCE all everything deps deps-check deps-accept deps-demo deps-lint check accept fuzz demo bench lint install clean
-include $(shell find $(B) -name '*.d' 2>/dev/null)
