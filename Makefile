# The only door: make run, make test, and what they are made of.

DATA ?= ./data
FENLIU = target/release/fenliu

.PHONY: run test build prepare check soak bench clean help

## run: build Fenliu, play the sample day on ./data (or go on from there), and stay up
run: build
	@$(FENLIU) --data $(DATA) demo

## test: every check and test
test: prepare
	@.ci/test

## build: the binary, target/release/fenliu
build: prepare
	@cargo build --release --locked -p fenliu

## prepare: what a build needs besides Rust; says what it installs and why
prepare:
	@.ci/prepare

## check: format, lints and documentation only
check: prepare
	@.ci/test fmt clippy docs

## soak: the slow proofs: more kills, more seeds, more cases
soak: prepare
	@.ci/soak

## bench: all figures, as JSON, with the machine's own limits beside them; bench-NAME for one
bench: bench-append bench-route bench-rebuild bench-decide

bench-%: build
	@$(FENLIU) bench $* --json

## clean: remove what was built; ./data is yours and stays
clean:
	@cargo clean

help:
	@sed -n 's/^## //p' Makefile
