package dev.gosset.langchain4j;

import dev.gosset.core.FormatException;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.generate.TextGenerator;
import dev.gosset.llm.sampling.Sampling;
import dev.gosset.llm.tokenizer.ChatTemplate;
import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.Content;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.TextContent;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.request.ResponseFormatType;
import dev.langchain4j.model.chat.request.ToolChoice;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.ChatResponseMetadata;
import dev.langchain4j.model.output.FinishReason;
import dev.langchain4j.model.output.TokenUsage;
import java.util.List;
import java.util.Locale;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Consumer;

/** A request as the model takes it. */
record Conversation(LanguageModel model, List<ChatTemplate.Message> messages, GenerationOptions options) {
    /**
     * @throws UnsupportedFeatureException that names what the model cannot do
     */
    static Conversation of(LanguageModel model, ChatRequest request, Long seed) {
        requireSupported(model, request.parameters());
        List<ChatTemplate.Message> messages =
                request.messages().stream().map(Conversation::message).toList();
        return new Conversation(model, messages, options(model.sampling(), request.parameters(), seed));
    }

    /**
     * @throws UnsupportedFeatureException that names the parameter
     */
    static void requireSupported(LanguageModel model, ChatRequestParameters parameters) {
        String name = name(model);
        if (parameters.modelName() != null && !parameters.modelName().equals(name)) {
            throw unsupported("modelName '" + parameters.modelName() + "' is", "this model is '" + name + "'");
        }
        if (parameters.toolSpecifications() != null
                && !parameters.toolSpecifications().isEmpty()) {
            boolean required = parameters.toolChoice() == ToolChoice.REQUIRED;
            throw unsupported(required ? "tools and ToolChoice.REQUIRED are" : "tools are", "leave them out");
        }
        if (parameters.responseFormat() != null && parameters.responseFormat().type() != ResponseFormatType.TEXT) {
            throw unsupported("JSON response format is", "ask for text");
        }
    }

    private static UnsupportedFeatureException unsupported(String what, String why) {
        return new UnsupportedFeatureException(what + " not supported: " + why);
    }

    private static String name(LanguageModel model) {
        return String.valueOf(model.directory().toAbsolutePath().normalize().getFileName());
    }

    private static ChatTemplate.Message message(ChatMessage message) {
        return switch (message) {
            case SystemMessage system -> new ChatTemplate.Message("system", system.text());
            case UserMessage user -> new ChatTemplate.Message("user", text(user));
            case AiMessage ai
            when !ai.hasToolExecutionRequests() ->
                new ChatTemplate.Message("assistant", ai.text() == null ? "" : ai.text());
            default ->
                throw unsupported("a message of type " + message.type() + " with tools or of its own form is", "");
        };
    }

    private static String text(UserMessage user) {
        if (user.name() != null) {
            throw unsupported("the name of a user message is", "put it into the text");
        }
        StringBuilder text = new StringBuilder();
        for (Content content : user.contents()) {
            if (!(content instanceof TextContent part)) {
                throw unsupported(
                        "content of type " + content.type().name().toLowerCase(Locale.ROOT) + " is",
                        "the model reads text");
            }
            text.append(text.isEmpty() ? "" : "\n").append(part.text());
        }
        return text.toString();
    }

    private static GenerationOptions options(Sampling model, ChatRequestParameters p, Long seed) {
        Sampling sampling = new Sampling(
                p.temperature() == null ? model.temperature() : p.temperature(),
                p.topK() == null ? model.topK() : p.topK(),
                p.topP() == null ? model.topP() : p.topP(),
                model.minP(),
                model.repetitionPenalty(),
                p.presencePenalty() == null ? model.presencePenalty() : p.presencePenalty(),
                p.frequencyPenalty() == null ? model.frequencyPenalty() : p.frequencyPenalty(),
                model.logitBias(),
                seed == null ? ThreadLocalRandom.current().nextLong() : seed);
        int most = p.maxOutputTokens() == null ? Integer.MAX_VALUE : p.maxOutputTokens();
        List<String> stop = p.stopSequences() == null ? List.of() : p.stopSequences();
        return new GenerationOptions(most, sampling).withStop(stop);
    }

    /**
     * Generates the answer.
     *
     * @throws InvalidRequestException where the model's template refuses the messages, or they fill the context
     */
    ChatResponse answer(Consumer<String> sink) {
        TextGenerator.Result result;
        try {
            result = model.chat(messages, options, sink);
        } catch (FormatException e) {
            throw new InvalidRequestException(e.getMessage(), e);
        }
        return ChatResponse.builder()
                .aiMessage(AiMessage.from(result.text()))
                .metadata(ChatResponseMetadata.builder()
                        .id(UUID.randomUUID().toString())
                        .modelName(name(model))
                        .tokenUsage(new TokenUsage(result.promptTokens(), result.tokens()))
                        .finishReason(reason(result.end()))
                        .build())
                .build();
    }

    private static FinishReason reason(TextGenerator.End end) {
        return switch (end) {
            case STOP, STOP_STRING -> FinishReason.STOP;
            case MAX_TOKENS, CONTEXT_FULL -> FinishReason.LENGTH;
        };
    }
}
