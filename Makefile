# The front door. Every target is one short command; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
JAVA_HOME := $(shell ./.mvn/find-jdk 2>/dev/null)
export JAVA_HOME
MVN := mvn -B -ntp

.PHONY: help demo test kill-test fault-test format javadoc clean jdk bench bench-native bench-peers jmh native native-test bindings \
	gpu-bundle gpu-test gpu-bench fuzz load-test dist dist-test artifacts

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

jdk:
	@./.mvn/find-jdk >/dev/null

demo: jdk ## build, then quantize the bundled model to 2, 3 and 4 bits and compare
	./gosset demo

test: jdk ## build, check the format, run every test, fuzz each reader for ten seconds
	$(MAKE) -C native -j $(shell nproc 2>/dev/null || echo 2) ci
	$(MVN) verify
	.ci/launcher
	SEED=1 java/fuzz/run 10

fuzz: jdk ## fuzz the readers of files, SECONDS=10 each (READER=name: one alone, SEED=n)
	SEED=$(SEED) java/fuzz/run $(or $(SECONDS),10) $(READER)

kill-test: jdk ## kill real quantizations at KILLS random moments (default 200), resume, compare the bytes
	$(MVN) -q -pl java/cli -am test -Dtest=KillTest -Dsurefire.failIfNoSpecifiedTests=false -Dgosset.kills=$(or $(KILLS),200)

fault-test: jdk ## fail every write, sync, rename, mkdir and delete of quantize, hessian and convert in turn, in every way
	$(MVN) -q -pl java/llm -am test -Dtest=FaultsTest -Dsurefire.failIfNoSpecifiedTests=false -Dgosset.faults=all

load-test: jdk ## STREAMS=256 clients of a server for SECONDS=120, each stream compared with its request alone; MODEL=dir, default the demo's
	$(MVN) -q -pl java/server -am test -Dtest=LoadTest#streamsForAWhile -Dsurefire.failIfNoSpecifiedTests=false \
	  -Dgosset.load.streams=$(or $(STREAMS),256) -Dgosset.load.seconds=$(or $(SECONDS),120) \
	  -Dgosset.load.model=$(abspath $(or $(MODEL),java/cli/src/main/resources/dev/gosset/cli/demo/model))

dist: jdk ## one archive for this platform with a Java runtime in it, in java/cli/target/dist
	$(MVN) -q -DskipTests -Dspotless.check.skip=true -pl java/cli -am package $(if $(filter aarch64,$(shell uname -m)),-Dopenblas.platform=linux-arm64)
	java/cli/dist

dist-test: dist ## unpack it where there is neither Java nor a home, and run the demo
	java/cli/dist-test

artifacts: jdk ## what Maven repositories want (jars, sources, Javadoc, POMs, checksums), in target/repository
	rm -rf target/repository
	$(MVN) -q -Partifacts -DskipTests -Dspotless.check.skip=true deploy -DaltDeploymentRepository=local::file:$(CURDIR)/target/repository

format: jdk ## rewrite the sources in the house format
	$(MVN) -q spotless:apply

javadoc: jdk ## write the public API's pages to java/*/target/reports/apidocs
	$(MVN) -q -DskipTests package javadoc:javadoc

bench: jdk bench-native ## measure the CPU kernels against peers and limits (QUICK=1: two minutes, not eight)
	bench/run table $(if $(QUICK),--quick)

jmh: jdk bench-native ## the same cases under JMH; JMH_ARGS="Matvec -p shape=4096x4096"
	bench/run jmh $(JMH_ARGS)

bench-native: ## compile the C peer of the benchmarks, where there is a C compiler
	bench/native

bench-peers: ## fetch llama.cpp's and Jlama's binaries into bench/.peers, for `make bench` only
	bench/peers

native: ## compile the CUDA library (where there is nvcc) and its emulation
	$(MAKE) -C native -j $(shell nproc 2>/dev/null || echo 2) all

native-test: ## test the kernels on the emulation, with AddressSanitizer and UBSan too
	$(MAKE) -C native test

bindings: ## regenerate bindings/ with jextract
	bindings/generate

gpu-bundle: ## pack a Java runtime, tests and benchmarks for a machine that has a GPU but neither JDK nor Maven
	native/bundle

gpu-test: ## on a machine with a GPU: every kernel against the oracle, memcheck, racecheck, the Java tests of the bundle
	$(MAKE) -C native -j $(shell nproc) NVCC_THREADS=0 all
	$(MAKE) -C native gpu-test

gpu-bench: ## on a machine with a GPU: time the kernels into bench/results
	$(MAKE) -C native -j $(shell nproc) NVCC_THREADS=0 all
	$(MAKE) -C native gpu-bench

clean: ## remove everything that was built
	rm -rf target java/*/target bench/target bindings/target native/target
