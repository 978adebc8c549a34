package dev.gosset.spring.ai;

import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.generate.TextGenerator;
import dev.gosset.llm.sampling.Sampling;
import dev.gosset.llm.tokenizer.ChatTemplate;
import java.util.List;
import java.util.Locale;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Consumer;
import java.util.function.Function;
import org.springframework.ai.chat.messages.AssistantMessage;
import org.springframework.ai.chat.messages.Message;
import org.springframework.ai.chat.messages.MessageType;
import org.springframework.ai.chat.metadata.ChatGenerationMetadata;
import org.springframework.ai.chat.metadata.ChatResponseMetadata;
import org.springframework.ai.chat.metadata.DefaultUsage;
import org.springframework.ai.chat.model.ChatModel;
import org.springframework.ai.chat.model.ChatResponse;
import org.springframework.ai.chat.model.Generation;
import org.springframework.ai.chat.prompt.ChatOptions;
import org.springframework.ai.chat.prompt.Prompt;
import org.springframework.ai.content.MediaContent;
import org.springframework.ai.model.tool.StructuredOutputChatOptions;
import org.springframework.ai.model.tool.ToolCallingChatOptions;
import reactor.core.publisher.Flux;
import reactor.core.publisher.FluxSink;

/**
 * A model in this process as Spring AI's chat model. Where neither a prompt nor the defaults say otherwise, tokens are drawn as the model's
 * generation_config.json says, and an answer may fill the context, {@link LanguageModel#DEFAULT_CONTEXT} tokens or what the model knows. The
 * last response of a stream has no text, but the usage and why the answer ended; a subscriber that cancels ends the answer within a step.
 *
 * <p>Immutable, thread-safe: calls from several threads run together. The model stays the caller's.
 */
public final class GossetChatModel implements ChatModel {
    private final LanguageModel model;
    private final String name;
    private final ChatOptions defaults;
    private final Long seed;

    public GossetChatModel(LanguageModel model) {
        this(model, ChatOptions.builder().build(), null);
    }

    /**
     * @param defaults of prompts that do not say otherwise
     * @param seed of all requests: equal ones have equal answers; null for another one each time
     * @throws IllegalArgumentException that names what the model cannot do
     */
    public GossetChatModel(LanguageModel model, ChatOptions defaults, Long seed) {
        this.model = model;
        this.name =
                String.valueOf(model.directory().toAbsolutePath().normalize().getFileName());
        this.defaults = defaults;
        this.seed = seed;
        requireSupported(defaults);
    }

    @Override
    public ChatOptions getOptions() {
        return defaults;
    }

    @Override
    public ChatResponse call(Prompt prompt) {
        Request request = request(prompt);
        TextGenerator.Result result = answer(request, piece -> {});
        return last(UUID.randomUUID().toString(), result, result.text());
    }

    @Override
    public Flux<ChatResponse> stream(Prompt prompt) {
        Request request = request(prompt);
        return Flux.create(sink -> {
            Thread teller = Thread.ofVirtual().name("gosset-chat").unstarted(() -> tell(request, sink));
            sink.onCancel(teller::interrupt);
            teller.start();
        });
    }

    private void tell(Request request, FluxSink<ChatResponse> sink) {
        String id = UUID.randomUUID().toString();
        try {
            TextGenerator.Result result = answer(request, piece -> {
                if (sink.isCancelled()) {
                    throw new CancellationException("the answer was cancelled");
                }
                ChatResponseMetadata metadata =
                        ChatResponseMetadata.builder().id(id).model(name).build();
                sink.next(new ChatResponse(List.of(new Generation(new AssistantMessage(piece))), metadata));
            });
            sink.next(last(id, result, ""));
            sink.complete();
        } catch (Throwable e) {
            if (!sink.isCancelled()) {
                sink.error(e);
            }
        }
    }

    private record Request(List<ChatTemplate.Message> messages, GenerationOptions options) {}

    private TextGenerator.Result answer(Request request, Consumer<String> sink) {
        return model.chat(request.messages(), request.options(), sink);
    }

    private ChatResponse last(String id, TextGenerator.Result result, String text) {
        String reason = switch (result.end()) {
            case STOP, STOP_STRING -> "STOP";
            case MAX_TOKENS, CONTEXT_FULL -> "LENGTH";
        };
        Generation generation = new Generation(
                new AssistantMessage(text),
                ChatGenerationMetadata.builder().finishReason(reason).build());
        return new ChatResponse(
                List.of(generation),
                ChatResponseMetadata.builder()
                        .id(id)
                        .model(name)
                        .usage(new DefaultUsage(result.promptTokens(), result.tokens()))
                        .build());
    }

    private Request request(Prompt prompt) {
        ChatOptions asked = prompt.getOptions() == null ? defaults : prompt.getOptions();
        requireSupported(asked);
        Sampling m = model.sampling();
        Sampling sampling = new Sampling(
                either(asked, ChatOptions::getTemperature, m.temperature()),
                either(asked, ChatOptions::getTopK, m.topK()),
                either(asked, ChatOptions::getTopP, m.topP()),
                m.minP(),
                m.repetitionPenalty(),
                either(asked, ChatOptions::getPresencePenalty, m.presencePenalty()),
                either(asked, ChatOptions::getFrequencyPenalty, m.frequencyPenalty()),
                m.logitBias(),
                seed == null ? ThreadLocalRandom.current().nextLong() : seed);
        int most = either(asked, ChatOptions::getMaxTokens, Integer.MAX_VALUE);
        List<String> stop = either(asked, ChatOptions::getStopSequences, List.of());
        return new Request(
                prompt.getInstructions().stream().map(GossetChatModel::message).toList(),
                new GenerationOptions(most, sampling).withStop(stop));
    }

    private <T> T either(ChatOptions asked, Function<ChatOptions, T> field, T otherwise) {
        T value = field.apply(asked);
        value = value == null ? field.apply(defaults) : value;
        return value == null ? otherwise : value;
    }

    private void requireSupported(ChatOptions options) {
        if (options.getModel() != null && !options.getModel().equals(name)) {
            throw unsupported("the model '" + options.getModel() + "' is", "this one is '" + name + "'");
        }
        if (options instanceof ToolCallingChatOptions tools
                && tools.getToolCallbacks() != null
                && !tools.getToolCallbacks().isEmpty()) {
            throw unsupported("tools are", "leave them out");
        }
        if (options instanceof StructuredOutputChatOptions structured && structured.getOutputSchema() != null) {
            throw unsupported("an output schema is", "leave it out");
        }
    }

    private static IllegalArgumentException unsupported(String what, String why) {
        return new IllegalArgumentException(what + " not supported: " + why);
    }

    private static ChatTemplate.Message message(Message message) {
        if (message instanceof MediaContent media && !media.getMedia().isEmpty()) {
            throw unsupported("media are", "the model reads text");
        }
        boolean calls = message instanceof AssistantMessage assistant && assistant.hasToolCalls();
        if (calls || message.getMessageType() == MessageType.TOOL) {
            throw unsupported("a message with tools is", "leave it out");
        }
        String role = message.getMessageType().name().toLowerCase(Locale.ROOT);
        return new ChatTemplate.Message(role, message.getText() == null ? "" : message.getText());
    }
}
