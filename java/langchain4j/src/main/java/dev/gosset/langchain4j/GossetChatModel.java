package dev.gosset.langchain4j;

import dev.gosset.llm.LanguageModel;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.response.ChatResponse;
import java.util.List;

/**
 * A model in this process as LangChain4j's chat model:
 *
 * {@snippet :
 * try (LanguageModel model = LanguageModel.open(Path.of("my-model-2bit"))) {
 *     System.out.println(new GossetChatModel(model).chat("Where is Berlin?"));
 * }
 * }
 *
 * <p>Where neither a request nor {@link #withParameters} says otherwise, tokens are drawn as the model's generation_config.json says, and an
 * answer may fill the context, {@link LanguageModel#DEFAULT_CONTEXT} tokens or what the model knows. Interrupting the calling thread ends
 * an answer with a {@link java.util.concurrent.CancellationException}.
 *
 * <p>Immutable, thread-safe: calls from several threads run together. The model stays the caller's.
 */
public final class GossetChatModel implements ChatModel {
    private final Settings settings;

    public GossetChatModel(LanguageModel model) {
        this(Settings.of(model));
    }

    private GossetChatModel(Settings settings) {
        this.settings = settings;
    }

    /**
     * The same with parameters for requests that do not say otherwise.
     *
     * @throws dev.langchain4j.exception.UnsupportedFeatureException that names what the model cannot do
     */
    public GossetChatModel withParameters(ChatRequestParameters parameters) {
        return new GossetChatModel(settings.with(parameters));
    }

    /** The same with listeners in place of those it has. */
    public GossetChatModel withListeners(List<ChatModelListener> listeners) {
        return new GossetChatModel(settings.with(listeners));
    }

    /** The same with one seed for all requests: equal ones have equal answers. */
    public GossetChatModel withSeed(long seed) {
        return new GossetChatModel(settings.withSeed(seed));
    }

    @Override
    public ChatResponse doChat(ChatRequest request) {
        return settings.conversation(request).answer(piece -> {});
    }

    @Override
    public ChatRequestParameters defaultRequestParameters() {
        return settings.parameters();
    }

    @Override
    public List<ChatModelListener> listeners() {
        return settings.listeners();
    }
}
