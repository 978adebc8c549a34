/**
 * LangChain4j's chat models over a model in this process. Requests of several threads run together; what a request asks for and the model
 * cannot do is an {@link dev.langchain4j.exception.UnsupportedFeatureException} that names it.
 */
package dev.gosset.langchain4j;
