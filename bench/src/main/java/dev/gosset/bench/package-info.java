/**
 * Benchmarks of Gosset's CPU side. A {@link dev.gosset.bench.Case} is one piece of work and all who can do it: our
 * kernels, the scalar oracle, peers in C, llama.cpp's and OpenBLAS's kernels, and a physical limit. {@link
 * dev.gosset.bench.BenchTable} races them against each other in one process and prints the table of {@code make bench};
 * the JMH benchmarks run the same cases one by one. What the numbers mean is in docs/benchmarks.md.
 */
package dev.gosset.bench;
