# Everything a person does with this project. `make help` lists it.

DATASET_AGENCIES ?= 5
DATASET_BETS ?= 2000
SEED ?= 1
KILLS ?= 500
BACKUPS ?= 200
ROUNDS ?= 100
SEEDS ?= 100000
CENTRALS_SEEDS ?= 10000
FIRST ?= 0
WINNERS ?= 10000000
FUZZ_SECONDS ?= 60
DEMO_TIME ?= 2m
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
CARGO ?= cargo
PYTHON ?= python3
COMPOSE_FILE = docker-compose-dev.yaml
# Several centrals keep the lottery in etcd.
KEPT = $(if $(shell grep -s '^    image: etcd:latest$$' $(COMPOSE_FILE)),persistent-etcd,persistent)
OVERRIDE = $(if $(PERSISTENT),-f docker/$(KEPT).yaml)
TLS_OVERRIDE = $(if $(TLS),-f .tls/compose.yaml)
ADMIN_OVERRIDE = $(if $(ADMIN),-f docker/admin.yaml)
MONITORING_OVERRIDE = $(if $(MONITORING),-f docker/monitoring.yaml)
COMPOSE = docker/compose.sh $(COMPOSE_FILE) $(OVERRIDE)
PYTEST = target/pytest/bin/python -m pytest
# What a target needs is there, or is installed, or it is said what is missing.
SETUP = @CARGO="$(CARGO)" PYTHON="$(PYTHON)" .ci/setup

# Files of bets that exist are kept, unless the call says what is to be in them. Those that weren't
# generated are only overwritten with FORCE=1.
asked_for = $(filter command environment,$(foreach name,$(1),$(firstword $(origin $(name)))))
DATASET_PLAN = --bets $(DATASET_BETS) --seed $(SEED)
DATASET = $(DATASET_PLAN) $(if $(call asked_for,DATASET_BETS SEED),$(if $(FORCE),--force),--keep)

.DEFAULT_GOAL := help

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | \
		while IFS="$$(printf '\t')" read -r target purpose; do printf '  make %-21s %s\n' "$$target" "$$purpose"; done

build: ## Build all programs, optimised
	$(SETUP) build
	$(CARGO) build --release --locked

man: ## Make manual pages and completions of the programs, in target/manual
	$(SETUP) man
	$(CARGO) run --release --locked -q -p packaging -- target/manual

# Builds nothing: it is called as root, and `make build man` isn't.
install: ## Install what `make build man` has made (PREFIX=/usr/local, SYSCONFDIR=/etc, DESTDIR=)
	@PREFIX=$(PREFIX) SYSCONFDIR=$(SYSCONFDIR) DESTDIR=$(DESTDIR) server/packaging/install.sh install

uninstall: ## Remove it again, but for configuration that was changed (the same PREFIX, SYSCONFDIR, DESTDIR)
	@PREFIX=$(PREFIX) SYSCONFDIR=$(SYSCONFDIR) DESTDIR=$(DESTDIR) server/packaging/install.sh uninstall

dataset: ## Make .data/agency-*.csv (DATASET_AGENCIES, DATASET_BETS, SEED; FORCE=1 overwrites your own)
	$(SETUP) dataset
	$(CARGO) run --release --locked -q -p load --bin dataset -- \
		$(DATASET_PLAN) $(if $(FORCE),--force) --agencies $(DATASET_AGENCIES) --out .data

run: build ## Run a central and its agencies on this machine, to the draw (DATASET_AGENCIES, DATASET_BETS, SEED; DRAW=2026-11-27; TLS=1; STAY=1: until Ctrl-C)
	@$(CARGO) run --release --locked -q -p load --bin dataset -- $(DATASET) --agencies $(DATASET_AGENCIES) --out .data
	$(if $(DRAW),SERVER_DRAW='$(DRAW)' CLI_DRAW='$(DRAW)') \
		$(CARGO) run --release --locked -q -p load --bin lottery -- --agencies $(DATASET_AGENCIES) --data .data \
		$(if $(TLS),--tls) $(if $(STAY),--stay)

demo: build ## Run a slow lottery to watch, of about DEMO_TIME (2m), and stay up until Ctrl-C
	$(CARGO) run --release --locked -q -p load --bin lottery -- --demo $(DEMO_TIME) --stay $(if $(TLS),--tls)

settings-docs: ## Write the tables of docs/configuration.md and docs/monitoring.md from what the programs say
	$(SETUP) settings-docs
	UPDATE_DOCS=1 $(CARGO) test --locked -q -p server -p client --lib settings_in_docs
	UPDATE_DOCS=1 $(CARGO) test --locked -q -p system-tests --test admin metrics_in_docs

test: ## Run every test
	$(SETUP) test
	$(CARGO) test --workspace --locked

# .ci/setup unpacks Prometheus where it isn't installed.
alarms-test: ## Test the alarms (docker/prometheus) with Prometheus' promtool
	$(SETUP) alarms-test
	PATH="$$PATH:$(CURDIR)/target/prometheus/usr/bin"; cd docker/prometheus; \
		promtool check config prometheus.yaml && promtool check rules --lint-fatal loteria.rules.yaml && \
		promtool test rules loteria.test.yaml

cluster: build ## Run three members of etcd, three centrals and agencies, to the draw (KILL=1: a central and etcd's leader are killed)
	$(SETUP) cluster
	@$(CARGO) run --release --locked -q -p load --bin dataset -- $(DATASET) --agencies $(DATASET_AGENCIES) --out .data
	@$(CARGO) run --release --locked -q -p load --bin centrals -- --agencies $(DATASET_AGENCIES) --data .data $(if $(KILL),--kill)

cluster-kills: ## Kill, freeze and cut off centrals and members of etcd, in ROUNDS lotteries
	$(SETUP) cluster-kills
	$(CARGO) build --release --locked
	CLUSTER_ROUNDS=$(ROUNDS) $(CARGO) test --release --locked -p system-tests --test cluster whatever -- --nocapture --test-threads=1

kills: ## Kill central and agencies KILLS times, and at every system call
	$(SETUP) kills
	$(CARGO) build --release --locked
	KILLS=$(KILLS) $(CARGO) test --release --locked -p system-tests --test kills --test crash_explorer -- --nocapture

# Its table goes into docs/testing.md.
hostile: ## Attack the central with hostile peers, disks and signals, in full size
	$(SETUP) hostile
	$(CARGO) build --release --locked
	@table=$$(mktemp); HOSTILE=full HOSTILE_TABLE=$$table \
		$(CARGO) test --release --locked -p system-tests --test hostile -- --test-threads=1; ended=$$?; \
	printf '\n| attack | bound | measured | memory | log | processor time | agency: 99 %%, longest | echo: 99 %%, longest | operator: 99 %%, longest; on new connections |\n'; \
	printf '|---|---|---|---|---|---|---|---|---|\n'; cat $$table; rm -f $$table; exit $$ended

simulate: ## Simulate SEEDS worlds of one central and CENTRALS_SEEDS of several, from seed FIRST on, in which everything goes wrong
	$(SETUP) simulate
	SIMULATION_SEEDS=$(SEEDS) SIMULATION_FIRST=$(FIRST) $(CARGO) test --release --locked -p system-tests --test simulation -- --nocapture
	SIMULATION_SEEDS=$(CENTRALS_SEEDS) SIMULATION_FIRST=$(FIRST) $(CARGO) test --release --locked -p system-tests --test cluster_simulation -- --nocapture

model: ## Explore the model of several centrals in larger bounds (some minutes and 2 GB of memory)
	$(SETUP) model
	MODEL=full $(CARGO) test --locked -p cluster-model -- --nocapture --test-threads=1

backups: ## Back a ledger up BACKUPS times, under load, while its central is killed
	$(SETUP) backups
	$(CARGO) build --release --locked
	BACKUPS=$(BACKUPS) $(CARGO) test --release --locked -p system-tests --test ledger_commands backup -- --nocapture

winners: ## Draw among WINNERS winning bets in 64 MiB of memory
	$(SETUP) winners
	$(CARGO) build --release --locked
	WINNERS=$(WINNERS) $(CARGO) test --release --locked -p system-tests --test many_winners -- --nocapture

# cargo fuzz asks for flags that rustc calls unstable; nothing else here does. What it finds goes
# into fuzz/found; the corpus in the repository stays as small as it is.
FUZZ = mkdir -p fuzz/found/$$target && RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run -s none $$target \
	fuzz/found/$$target fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS)

fuzz: ## Fuzz every decoder and TLS for FUZZ_SECONDS each (needs `cargo install cargo-fuzz` and a C++ compiler)
	$(SETUP) fuzz
	cd wire && for target in lines requests responses; do $(FUZZ) || exit 1; done
	cd wire/http1 && for target in heads responses; do $(FUZZ) || exit 1; done
	cd server && for target in batches rows ledger; do $(FUZZ) || exit 1; done
	cd server/admin && for target in sessions; do $(FUZZ) || exit 1; done
	cd reactor/tls && for target in handshakes records; do $(FUZZ) || exit 1; done

fmt: ## Format the code
	$(SETUP) fmt
	$(CARGO) fmt --all

lint: ## Check format and lints
	$(SETUP) lint
	$(CARGO) fmt --all --check
	$(CARGO) fmt --check --manifest-path wire/fuzz/Cargo.toml
	$(CARGO) fmt --check --manifest-path wire/http1/fuzz/Cargo.toml
	$(CARGO) fmt --check --manifest-path server/fuzz/Cargo.toml
	$(CARGO) fmt --check --manifest-path server/admin/fuzz/Cargo.toml
	$(CARGO) fmt --check --manifest-path reactor/tls/fuzz/Cargo.toml
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

doc: ## Build the documentation
	$(SETUP) doc
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

bench: ## Run the benchmarks: a bet's steps, a commit, the system end to end; save the figures of the charts
	$(SETUP) bench
	$(CARGO) build --release --locked
	$(CARGO) bench --workspace --exclude load --locked
	$(CARGO) bench -p load --locked -- --save

charts: ## Draw docs/benchmarks/*.svg from the saved figures
	$(SETUP) charts
	$(CARGO) test -q -p load --bench end_to_end --locked -- --charts

docker-image: ## Build the images server:latest, client:latest, dataset:latest and pki:latest
	$(SETUP) docker-image
	@docker/images.sh

$(COMPOSE_FILE):
	./generar-compose.sh $@ $(DATASET_AGENCIES)

docker-compose-up: docker-image $(COMPOSE_FILE) ## Run the lottery in containers (PERSISTENT=1: the lottery outlives them; TLS=1; ADMIN=8080: the page; MONITORING=1: Prometheus)
	$(SETUP) docker-compose-up
	$(if $(TLS),@docker/tls.sh $(COMPOSE_FILE))
	$(if $(MONITORING),@docker/monitoring.sh $(COMPOSE_FILE))
	@DATASET_AGENCIES=$(if $(call asked_for,DATASET_AGENCIES),$(DATASET_AGENCIES)) \
		docker/up.sh $(COMPOSE_FILE) $(OVERRIDE) $(TLS_OVERRIDE) $(ADMIN_OVERRIDE) $(MONITORING_OVERRIDE) -- $(DATASET)
	$(if $(ADMIN),@echo "the page: http://127.0.0.1:$(ADMIN)/")

docker-compose-down: $(COMPOSE_FILE) ## Stop the containers and remove them
	$(SETUP) docker-compose-down
	$(COMPOSE) stop -t 1
	$(COMPOSE) down -t 1 --remove-orphans

docker-compose-logs: $(COMPOSE_FILE) ## Follow the containers' logs
	$(SETUP) docker-compose-logs
	$(COMPOSE) logs -f

docker-base-images: ## Make the images that ours are made from, where no registry can be reached
	$(SETUP) docker-base-images
	@docker/base-images.sh

docker-test: docker-image target/pytest/installed ## Test every exercise in containers, by pytest (READER_RUNS=20: 20 late readers of the logs)
	$(SETUP) docker-test
	$(PYTEST) docker/tests

# What the tests in containers are run by, in a folder of its own.
target/pytest/installed: docker/tests/requirements.txt .ci/setup
	$(SETUP) docker-test
	$(PYTHON) -m venv target/pytest
	target/pytest/bin/pip install -q -r $<
	touch $@

browser-test: build target/browser/installed ## Test the live page in Chromium, against a real central; screenshots go to target/screenshots
	$(SETUP) browser-test
	target/browser/bin/python -m pytest tests/browser

# What the browser's tests are run by. Of axe's package only its script is wanted, not the browsers that it would bring.
target/browser/installed: tests/browser/requirements.txt tests/browser/axe.txt .ci/setup
	$(SETUP) browser-test
	$(PYTHON) -m venv target/browser
	target/browser/bin/pip install -q -r tests/browser/requirements.txt
	target/browser/bin/pip install -q --no-deps -r tests/browser/axe.txt
	touch $@

branches: ## Make the delivery branches ej1 to ej8
	docker/branches.sh

clean: ## Remove what was built and the generated dataset
	$(CARGO) clean
	@.ci/clean-dataset .data

.PHONY: help build man install uninstall dataset run demo cluster cluster-kills test alarms-test kills hostile simulate model winners backups settings-docs fuzz fmt lint doc bench charts docker-image docker-compose-up \
	docker-compose-down docker-compose-logs docker-base-images docker-test browser-test branches clean
