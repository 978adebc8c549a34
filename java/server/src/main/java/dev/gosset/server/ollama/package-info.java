/** Ollama's protocol: {@code /api/chat}, {@code /api/generate}, {@code /api/tags}, {@code /api/show}, {@code /api/version}. */
package dev.gosset.server.ollama;
