/**
 * Spring AI's chat model over a model in this process, and Spring Boot's configuration of it. Requests of several threads run together; what
 * a request asks for and the model cannot do is an {@link java.lang.IllegalArgumentException} that names it.
 */
package dev.gosset.spring.ai;
