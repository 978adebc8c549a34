/**
 * How good a model is: perplexity of a text, multiple choice by log-likelihood.
 */
package dev.gosset.llm.evaluate;
