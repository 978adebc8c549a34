/**
 * Nearest points without a search: sort, parity, shells of the lattice. Oracle: ScalarEncode.
 */
package dev.gosset.core.kernel.encode;
