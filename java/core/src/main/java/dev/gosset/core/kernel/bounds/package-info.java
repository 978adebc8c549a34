/**
 * What goes wrong, in numbers: the segments that a kernel refuses, and how far its results may be from the exact ones.
 */
package dev.gosset.core.kernel.bounds;
