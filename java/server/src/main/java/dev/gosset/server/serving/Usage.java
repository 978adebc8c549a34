package dev.gosset.server.serving;

/**
 * What a request took.
 *
 * @param prompt tokens of the prompts
 * @param completion tokens that were drawn
 * @param cached tokens of the prompts that did not have to be computed
 */
public record Usage(int prompt, int completion, int cached) {}
