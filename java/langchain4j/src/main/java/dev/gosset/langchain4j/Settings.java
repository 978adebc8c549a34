package dev.gosset.langchain4j;

import dev.gosset.llm.LanguageModel;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import java.util.List;

/**
 * What both chat models are made of.
 *
 * @param parameters of requests that do not say otherwise
 * @param seed of all requests; null for another one each time
 */
record Settings(LanguageModel model, ChatRequestParameters parameters, List<ChatModelListener> listeners, Long seed) {
    Settings {
        Conversation.requireSupported(model, parameters);
        listeners = List.copyOf(listeners);
    }

    static Settings of(LanguageModel model) {
        return new Settings(model, ChatRequestParameters.builder().build(), List.of(), null);
    }

    Settings with(ChatRequestParameters other) {
        return new Settings(model, other, listeners, seed);
    }

    Settings with(List<ChatModelListener> other) {
        return new Settings(model, parameters, other, seed);
    }

    Settings withSeed(long other) {
        return new Settings(model, parameters, listeners, other);
    }

    Conversation conversation(ChatRequest request) {
        return Conversation.of(model, request, seed);
    }
}
