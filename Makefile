# SPDX-License-Identifier: GPL-2.0-only
#
# make modules tools lib	compile here, for this machine
# make install [DESTDIR= PREFIX=]
# make demo			two guests and a one-time-pad tunnel between them
# make demo SUPPLY=etsi014	the same over a link that is fed from two KMEs
# make demo SUPPLY=link		the same over an emulated optical link, and Eve
# make test [T=NAME]		selftests in QEMU guests; nothing is loaded here
# make help			the rest

KDIR ?= /lib/modules/$(shell uname -r)/build
PREFIX ?= /usr/local
INSTALL_MOD_PATH ?= $(DESTDIR)/usr
QEMU := selftests/qemu
T ?=

export DESTDIR PREFIX

all: modules lib tools

modules:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

# Distributions' headers come without their signing key: do not try.
modules_install:
	$(MAKE) -C $(KDIR) M=$(CURDIR) INSTALL_MOD_PATH=$(INSTALL_MOD_PATH) \
		INSTALL_MOD_STRIP=1 CONFIG_MODULE_SIG_ALL= modules_install

lib:
	$(MAKE) -C lib

tools: lib
	$(MAKE) -C tools

# Needs strongSwan's source: STRONGSWAN_SRC, see strongswan-plugin/Makefile.
plugin: lib
	$(MAKE) -C strongswan-plugin

selftests: lib
	$(MAKE) -C selftests

install: modules_install
	$(MAKE) -C lib install
	$(MAKE) -C tools install

install-plugin: plugin
	$(MAKE) -C strongswan-plugin install

install-selftests:
	$(MAKE) -C selftests install

clean:
	$(MAKE) -C $(KDIR) M=$(CURDIR) clean
	$(MAKE) -C lib clean
	$(MAKE) -C tools clean
	$(MAKE) -C strongswan-plugin clean
	$(MAKE) -C selftests clean

# From here on: in QEMU, with Debian's own kernel, from build/ (or QKD_BUILD).

build: setup
	@$(QEMU)/build

comma := ,
demo_emu := demo
demo_etsi014 := etsi014
demo_link := link
demo: setup
	@$(QEMU)/run --raw --all-output demo/$(or $(demo_$(or $(SUPPLY),emu)), \
		$(error SUPPLY is emu$(comma) etsi014 or link))

test: setup
	@$(QEMU)/run $(T)

test-long: setup
	@$(QEMU)/run --long --scale 100 $(T)

test-debug: setup
	@$(QEMU)/run --kernel debug --scale 2 $(T)

bench: setup
	@$(QEMU)/run --raw --scale 100 --jobs 1 bench/bench bench/link

shell: setup
	@$(QEMU)/run --shell

check compat: setup
	@$(QEMU)/run $@

format: build
	@$(QEMU)/chroot -b $(CURDIR):/mnt/tree sh -c 'cd /mnt/tree && \
		find lib tools strongswan-plugin selftests -name "*.[ch]" | \
		xargs clang-format -i --style=file:/usr/src/qkd/.clang-format'

setup:
	@$(QEMU)/setup

distclean:
	rm -rf build

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile
	@echo 'make plugin		compile the strongSwan plugin (STRONGSWAN_SRC= its source)'
	@echo 'make selftests		compile the selftests (KSELFTEST= their kernel headers)'
	@echo 'make shell		a guest with everything loaded, to try things by hand'
	@echo 'make bench		speed, in one guest; of qkd-link, outside'
	@echo 'make test-long		all selftests at full length (make test does a tenth)'
	@echo 'make test-debug		all selftests on a kernel with KASAN, lockdep, kmemleak'
	@echo 'make check		style and staleness checks'
	@echo 'make format		let clang-format have its way with lib, tools and selftests'
	@echo 'make compat		compile against the kernels of Debian 12, 13 and backports'
	@echo 'make clean distclean	remove what was compiled here; the cache of guests'

.PHONY: all modules modules_install lib tools plugin selftests install \
	install-plugin install-selftests \
	clean build demo test test-long test-debug bench shell check compat \
	format setup distclean help
