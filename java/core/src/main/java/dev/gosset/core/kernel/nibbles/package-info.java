/**
 * Products by nibbles, for vectors of 128 and 256 bits. The idea of the tables, where a lookup takes four bits: tables of 16 bytes,
 * products of 13 bits in two of them, blocks of 16 rows. Oracle: ScalarMatvec.
 */
package dev.gosset.core.kernel.nibbles;
