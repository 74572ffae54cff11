# Everything a person does with this project. `make help` lists it.

DATASET_AGENCIES ?= 5
DATASET_BETS ?= 2000
SEED ?= 1
CARGO ?= cargo

.DEFAULT_GOAL := help

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

build: ## Build both programs, optimised
	$(CARGO) build --workspace --release --locked

dataset: ## Make .data/agency-*.csv (DATASET_AGENCIES, DATASET_BETS, SEED)
	$(CARGO) run --release --locked -q -p client --bin dataset -- \
		--agencies $(DATASET_AGENCIES) --bets $(DATASET_BETS) --seed $(SEED) --out .data

.data/agency-1.csv:
	@$(MAKE) --no-print-directory dataset

run: build .data/agency-1.csv ## Run a central and five agencies on this machine, to the draw
	$(CARGO) run --release --locked -q -p client --bin lottery -- --agencies 5 --data .data

test: ## Run every test
	$(CARGO) build --workspace --locked
	$(CARGO) test --workspace --locked

fmt: ## Format the code
	$(CARGO) fmt --all

lint: ## Check format and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

doc: ## Build the documentation
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

bench: ## Measure: steps of a bet, ledger, end to end
	$(CARGO) bench --workspace --locked

clean: ## Remove what was built and the generated dataset
	$(CARGO) clean
	rm -f .data/agency-*.csv

.PHONY: help build dataset run test fmt lint doc bench clean
