# `make demo` and `make test` are all that a new machine needs: each installs what is missing first.
.PHONY: help demo test soak fuzz packaging bench build lint format clean

help: ## list what there is to make (this)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a real container image through three tiers and back, every layer checked
	@Scripts/bootstrap build demo
	@Scripts/demo

test: ## every test, each suite in a process of its own
	@Scripts/bootstrap build test
	@Scripts/test

soak: ## ten minutes of clients and daemons that are killed, stopped, damaged, filled up and set to other times
	@Scripts/bootstrap build soak
	swift build -c release --product layercache
	Scripts/soak 600

fuzz: ## a minute of random tars and images, compared with GNU tar and umoci; as root
	@Scripts/bootstrap build test
	swift build --product layercache
	Scripts/fuzz-images 60

packaging: ## what operators begin with, read by the tools that will read it
	@Scripts/bootstrap packaging
	Scripts/check-packaging

bench: ## all benchmarks; writes docs/BENCHMARKS.md and docs/figures
	@Scripts/bootstrap build bench
	Scripts/bench

build: ## the binary, optimised: .build/release/layercache
	@Scripts/bootstrap build
	swift build -c release --product layercache

lint: ## style and structure, checked; changes nothing
	@Scripts/lint

format: ## Swift files as swift-format has them
	swift format --in-place --parallel --recursive Package.swift Sources Tests Benchmarks/Package.swift Benchmarks/Sources Examples

clean: ## remove what was built
	rm -rf .build Benchmarks/.build Examples/*/.build .demo
