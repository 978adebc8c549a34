/**
 * Between our models and published QuIP# checkpoints, both ways and without loss: the same codes in another order of bits.
 */
package dev.gosset.llm.convert;
