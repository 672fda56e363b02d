# Matchday. `make` alone lists the targets; there is no second runner.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

GO      ?= go
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION)
OUT     ?= out/sunday
# Tests of packages that start databases and brokers share two cores: more at once only queue.
TESTFLAGS ?= -p 2
# SQLite as its authors recommend it (sqlite.org/compile.html): nobody here asks for its statistics of memory, and to
# keep them takes a lock at each allocation. Where it is not told that a system has fdatasync and pread it takes fsync,
# which writes the time of the last change too, and a seek before each page.
export CGO_CFLAGS ?= -O2 -g -DSQLITE_DEFAULT_MEMSTATUS=0 -DSQLITE_USE_ALLOCA -DHAVE_FDATASYNC=1 -DHAVE_PREAD=1 -DHAVE_PWRITE=1

.PHONY: help build up test test-clients check race race-full purego bench sunday gen verify fmt lint vet arch setup fuzz clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

build: ## build bin/matchday
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/matchday ./cmd/matchday

up: build ## run the whole product, embedded, in the folder matchday-data
	bin/matchday up

sunday: build ## play a game day of the built-in slate, or SLATE=season.csv WEEK=n, into OUT
	bin/matchday sunday $(if $(SLATE),--slate $(SLATE)) $(if $(WEEK),--week $(WEEK)) --out $(OUT)

test: setup verify check purego ## everything CI runs, on a new machine too
	$(GO) test $(TESTFLAGS) -timeout 50m ./...

check: fmt vet lint arch race ## the fast gate: format, vet, lint, house rules, race tests

# With -short a test that starts a server, a browser, processes or a whole platform, that measures, or that takes
# more than about two seconds here says why it is left out. `make test` runs every one of them.
race: ## quick tests (-short) under the race detector; the house rules run nothing at once
	$(GO) test $(TESTFLAGS) -race -short -timeout 20m $$($(GO) list ./... | grep -v '/internal/arch$$')

race-full: ## every test under the race detector: no part of CI, for changes of what runs at once
	$(GO) test $(TESTFLAGS) -race -timeout 60m ./...

purego: ## quick tests of the stores on the SQLite that a build without a C compiler has
	CGO_ENABLED=0 $(GO) test $(TESTFLAGS) -short -timeout 20m ./internal/sqldb ./ledger ./history ./stream ./sportsbook

test-clients: ## optional: a client that a generator makes of the OpenAPI document; the ledger's SQL in MySQL 8's grammar; the streams on a real Apache Kafka broker, fetched from Maven Central (needs java, mvn)
	@GO=$(GO) scripts/openapi-client.sh out/openapi-client
	@GO=$(GO) scripts/mysql-grammar.sh out/mysql-grammar
	@GO=$(GO) scripts/kafka.sh out/kafka

arch: ## only the house rules
	$(GO) test -count=1 ./internal/arch

fmt: ## fail on files that gofmt would change
	@files=$$(git ls-files '*.go' | xargs -r ls -d 2>/dev/null | xargs -r gofmt -l); \
	if [ -n "$$files" ]; then echo "not gofmt'd: $$files"; exit 1; fi

vet: ## go vet
	$(GO) vet ./...

lint: ## staticcheck, pinned as a Go tool; staticcheck.conf gives the reason of each exclusion
	$(GO) tool staticcheck ./...

gen: ## generate code from its sources (templ pages)
	$(GO) tool templ generate -path web -log-level error

verify: ## fail if generated code is not what its sources say
	scripts/verify.sh

bench: build ## measure the figures of docs/bench into out/bench (an hour; FIGURES="ledger payout" for some)
	scripts/bench.sh out/bench $(FIGURES)

fuzz: ## fuzz every parser for FUZZTIME each (10s)
	@for target in $$(grep -rlE '^func Fuzz' --include=*_test.go . | xargs -n1 dirname | sort -u); do \
		for name in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$target/*_test.go | sed 's/func //'); do \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(or $(FUZZTIME),10s) $$target; \
		done; done

setup: ## install what the tests need on Debian (Chromium, MariaDB)
	@scripts/setup.sh

clean: ## remove what was built and run here
	rm -rf bin out
