/**
 * The one door to raw memory. Loops read and write at addresses through one constant segment; segments are checked once, before
 * them, and held open while they run. Here too is what must happen to the Vector API before its first loop.
 */
package dev.gosset.core.kernel.memory;
