/**
 * Models of the Hugging Face Hub: what its tools or {@link dev.gosset.llm.hub.HubPull} downloaded is found in the cache that they
 * share, by the model's name. Only {@code HubPull} uses the network.
 */
package dev.gosset.llm.hub;
