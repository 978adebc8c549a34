/**
 * How good a model is: perplexity of a text, divergence from the model it was made from, multiple choice by
 * log-likelihood.
 */
package dev.gosset.llm.evaluate;
