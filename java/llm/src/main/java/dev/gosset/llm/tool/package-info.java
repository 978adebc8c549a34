/**
 * Calls of functions, as chat models write them. {@link dev.gosset.llm.tool.ToolFormat} is how a model's own chat template writes a call, and
 * makes the grammar that holds a model to it; {@link dev.gosset.llm.tool.ToolCallReader} finds the calls in what it writes.
 */
package dev.gosset.llm.tool;
