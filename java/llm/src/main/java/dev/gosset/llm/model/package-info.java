/** A model opened from its directory: configuration, plan, stored weights and, when asked for, the processor's interpreter. */
package dev.gosset.llm.model;
