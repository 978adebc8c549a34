/**
 * The meaning of every kernel that Kernels chooses, in plain Java that loops over one element at a time. Slow and easy to believe: the other
 * rooms are tested against it, and it runs where there are no vectors.
 */
package dev.gosset.core.kernel.oracle;
