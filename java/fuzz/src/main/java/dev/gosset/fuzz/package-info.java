/**
 * Every reader of files against bytes that nobody meant. {@link dev.gosset.fuzz.Reader} lists the readers, {@link
 * dev.gosset.fuzz.Property} says what must hold for any bytes, {@link dev.gosset.fuzz.Form} changes files without breaking
 * what stands around the change, {@link dev.gosset.fuzz.FuzzTarget} is what Jazzer calls. The corpus, {@code java/fuzz/corpus},
 * holds small valid files made by {@link dev.gosset.fuzz.Seeds} and every input that once failed.
 */
package dev.gosset.fuzz;
