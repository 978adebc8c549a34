/**
 * From a prompt to text: {@link dev.gosset.llm.generate.TextGenerator} asks for tokens, turns them into whole characters and
 * ends at an end token, a stop string, the most tokens or a full context. {@link dev.gosset.llm.generate.CpuModel} is the
 * processor's {@link dev.gosset.llm.device.LoadedModel}.
 */
package dev.gosset.llm.generate;
