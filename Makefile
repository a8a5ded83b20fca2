# The verbs of Paravane's front door. `make help` lists them.
SHELL := /bin/bash
CONFIGURATION ?= release
PRODUCT = .build/$(CONFIGURATION)/paravane
SWIFT_BUILD = swift build -c $(CONFIGURATION)
KERNELS = .kernels
BENCHMARKS = .build-bench-guest
FUZZ = .build/release/paravane-fuzz
SEED ?= 1
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
FUZZ_SECONDS ?= 60
SOAK_HOURS ?= 8

.PHONY: help run build install test bench missed publish golden fuzz soak conformance format lint docs clean packages kernels fixtures swift

help: ## list the verbs
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14

swift:
	@command -v swift >/dev/null || { echo "make: Swift 6.3 is missing: install the toolchain for your system from swift.org and put its usr/bin on PATH" >&2; exit 69; }

packages: swift
	@bash Fixtures/packages.sh

kernels: packages
	@bash Fixtures/debian/kernel.sh cloud-amd64 $(KERNELS)

build: packages ## build paravane (CONFIGURATION=debug for a debug build)
	$(SWIFT_BUILD) --product paravane

run: build kernels ## boot Debian's stock kernel to a shell with a disk and a network
	@[ -e $(KERNELS)/disk.raw ] || truncate -s 256M $(KERNELS)/disk.raw
	$(PRODUCT) run --kernel $(KERNELS)/vmlinuz-cloud-amd64 --ramdisk $(KERNELS)/initrd-cloud-amd64.cpio --memory 512 \
	  --cmdline "console=hvc0 quiet" --disk $(KERNELS)/disk.raw,raw,xvda,rw --vif link=user

install: packages ## install one binary, Swift's runtime linked in, to $(PREFIX)/bin
	swift build -c release --product paravane --static-swift-stdlib --scratch-path .build-install
	install -D -m 755 .build-install/release/paravane $(DESTDIR)$(or $(PREFIX),/usr/local)/bin/paravane

fixtures: packages
	@$(MAKE) --no-print-directory -C Fixtures

test: packages fixtures ## run every test, fetching what they need
	@for flavour in cloud-amd64 amd64 686 686-pae; do bash Fixtures/debian/kernel.sh $$flavour $(KERNELS) || exit; done
	swift build -c release --product paravane
	swift build -c release --product paravane-fuzz
	swift test
	$(PRODUCT) inspect $(KERNELS)/vmlinuz-cloud-amd64 --elf $(KERNELS)/vmlinux-cloud-amd64 >/dev/null
	$(PRODUCT) inspect $(KERNELS)/vmlinuz-amd64 --elf $(KERNELS)/vmlinux-amd64 >/dev/null
	PARAVANE_ONLY=X86 PARAVANE_WHOLE_TEXT=$(CURDIR)/$(KERNELS)/vmlinux-cloud-amd64:$(CURDIR)/$(KERNELS)/vmlinux-amd64 \
	  swift test -c release -Xswiftc -enable-testing --scratch-path .build-x86 --filter CapstoneTests
	$(FUZZ) silicon --count 200000 --seed 1
	$(FUZZ) silicon --count 200000 --seed 2 --translator
	$(FUZZ) silicon --count 200000 --seed 3 --length 8 --translator
	$(FUZZ) sequences --count 4000 --seed 1
	$(FUZZ) sequences32 --count 2000 --seed 1
	bash Fixtures/error-tests.sh .build/release/paravane $(KERNELS) .build-fixtures
	bash Fixtures/boot-tests.sh .build/release/paravane $(KERNELS)
	bash Fixtures/hvm/boot-tests.sh .build/release/paravane $(KERNELS)
	bash Fixtures/hvm/disk-tests.sh .build/release/paravane $(KERNELS)

bench: build kernels ## measure against this machine itself, QEMU and Xen on it, and name the thresholds that are missed (ROWS, SYSTEMS, ROUNDS)
	bash Benchmarks/run.sh $(PRODUCT) $(KERNELS) $(BENCHMARKS) $(ROWS)

missed: ## name the thresholds that the last make bench missed
	@bash Benchmarks/report.sh $(BENCHMARKS)

publish: ## put table and picture of the last make bench into the README
	@bash Benchmarks/report.sh $(BENCHMARKS) publish

docs: ## check that every link in the documentation leads somewhere
	@bash Documentation/check-links.sh

fuzz: packages ## instructions on the processor and in both engines, programs in both, hostile input to every part (SEED, FUZZ_SECONDS for each part)
	swift build -c release --product paravane-fuzz
	$(FUZZ) silicon --count 10000000 --seed $(SEED) --jobs $(JOBS)
	$(FUZZ) silicon --count 5000000 --seed $(SEED) --jobs $(JOBS) --translator
	$(FUZZ) silicon --count 5000000 --seed $(SEED) --jobs $(JOBS) --length 8
	$(FUZZ) silicon --count 5000000 --seed $(SEED) --jobs $(JOBS) --length 8 --translator
	@for target in $$($(FUZZ) targets); do $(FUZZ) $$target --seconds $(FUZZ_SECONDS) --seed $(SEED) || exit 1; done

golden: packages ## write anew what the translator makes of every instruction form (Tests/ProcessorTests/Golden)
	PARAVANE_ONLY=Processor PARAVANE_GOLDEN=write swift test --scratch-path .build-golden --filter GoldenTests
	@git diff --stat -- Tests/ProcessorTests/Golden 2>/dev/null || true

soak: build kernels ## boots and fuzzing in turn, with a new seed each round, for SOAK_HOURS
	swift build -c release --product paravane-fuzz
	@for flavour in amd64 686 686-pae; do bash Fixtures/debian/kernel.sh $$flavour $(KERNELS) || exit; done
	@end=$$(($$(date +%s) + $(SOAK_HOURS) * 3600)); seed=$(SEED); while [ $$(date +%s) -lt $$end ]; do \
	  echo "soak: round with seed $$seed"; \
	  bash Fixtures/boot-tests.sh $(PRODUCT) $(KERNELS) || exit 1; \
	  bash Fixtures/hvm/boot-tests.sh $(PRODUCT) $(KERNELS) || exit 1; \
	  HVM_KILLS=50 bash Fixtures/hvm/disk-tests.sh $(PRODUCT) $(KERNELS) || exit 1; \
	  $(MAKE) --no-print-directory fuzz SEED=$$seed || exit 1; \
	  seed=$$((seed + 1)); done

conformance: packages fixtures ## ask the real Xen again and hold Paravane to its answers
	bash Fixtures/record-xen.sh --check
	PARAVANE_ONLY=Hypervisor swift test --scratch-path .build-conformance --filter FixtureTests

format: ## rewrite the sources in the house format
	swift format -i -r Package.swift Sources Tests

lint: ## check the house format
	swift format lint -s -r Package.swift Sources Tests

clean: ## remove what was built
	rm -rf .build .build-*
