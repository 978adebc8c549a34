/**
 * Text to tokens and back: Hugging Face's tokenizer.json through its own library, a stream of tokens to a stream of whole
 * characters, and conversations to prompts by the model's chat template.
 */
package dev.gosset.llm.tokenizer;
