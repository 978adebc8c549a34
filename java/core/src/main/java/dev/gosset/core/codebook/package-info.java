/**
 * A codebook is a set of points of eight dimensions, a number for each, and the rule that finds the nearest: pure mathematics
 * in float64, the oracle of every kernel that encodes or decodes.
 *
 * <p>{@link dev.gosset.core.codebook.E8p} has 65536 points of the E8 lattice, shifted by a quarter, in 16 bits: 2 bits a
 * weight. {@link dev.gosset.core.codebook.E8pResidual} rounds what is left once more, with {@link
 * dev.gosset.core.codebook.E81b} for 3 bits and with E8P again for 4. {@link dev.gosset.core.codebook.CodeMatrix} is a matrix
 * of codes as we store them; {@link dev.gosset.core.codebook.QidxsLayout} and {@link
 * dev.gosset.core.codebook.PublishedLayout} are the orders of bits in published checkpoints, {@link
 * dev.gosset.core.codebook.HistoricLayouts} those of the first ones, whose codebooks were {@link
 * dev.gosset.core.codebook.D4}, {@link dev.gosset.core.codebook.HalfInteger} and {@link
 * dev.gosset.core.codebook.E8pVersion0}. Source: spec/quip-sharp.md, sections 4 and 5.
 */
package dev.gosset.core.codebook;
