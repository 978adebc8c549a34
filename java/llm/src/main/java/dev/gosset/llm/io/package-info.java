/**
 * The files of others: safetensors, JSON, text. Sizes are checked against the file before anything is allocated or mapped;
 * what is wrong is one line with the file, what was found and what was expected.
 */
package dev.gosset.llm.io;
