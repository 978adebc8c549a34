/**
 * What a family of kernels promises: transforms, the search for nearest points, products with matrices of codes. A class that
 * computes implements one of these interfaces; whoever calls knows nothing else.
 */
package dev.gosset.core.kernel.contract;
