# `make demo` and `make test` are all that a new machine needs: each installs what is missing first.
.PHONY: demo test soak fuzz bench build lint format clean

demo:
	@Scripts/bootstrap build demo
	@Scripts/demo

test:
	@Scripts/bootstrap build test
	@Scripts/test

soak:
	@Scripts/bootstrap build
	swift build -c release --product layercache
	Scripts/soak 600

# A minute of random tars and images, compared with GNU tar and umoci; needs root.
fuzz:
	@Scripts/bootstrap build test
	swift build --product layercache
	Scripts/fuzz-images 60

bench:
	@Scripts/bootstrap build bench
	Scripts/bench

build:
	@Scripts/bootstrap build
	swift build -c release --product layercache

lint:
	@Scripts/lint

format:
	swift format --in-place --parallel --recursive Package.swift Sources Tests Benchmarks/Package.swift Benchmarks/Sources Examples

clean:
	rm -rf .build Benchmarks/.build Examples/*/.build .demo
