package dev.gosset.langchain4j;

import static dev.langchain4j.internal.InternalStreamingChatResponseHandlerUtils.onCompleteResponse;
import static dev.langchain4j.internal.InternalStreamingChatResponseHandlerUtils.onPartialResponse;
import static dev.langchain4j.internal.InternalStreamingChatResponseHandlerUtils.withLoggingExceptions;

import dev.gosset.llm.LanguageModel;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.chat.response.StreamingHandle;
import java.util.List;
import java.util.concurrent.CancellationException;

/**
 * A model in this process as LangChain4j's streaming chat model. Each answer is told by a virtual thread of its own, in whole characters;
 * what a handler throws does not end it, and cancelling does within a step. Otherwise as {@link GossetChatModel}.
 */
public final class GossetStreamingChatModel implements StreamingChatModel {
    private final Settings settings;

    public GossetStreamingChatModel(LanguageModel model) {
        this(Settings.of(model));
    }

    private GossetStreamingChatModel(Settings settings) {
        this.settings = settings;
    }

    /**
     * The same with parameters for requests that do not say otherwise.
     *
     * @throws dev.langchain4j.exception.UnsupportedFeatureException that names what the model cannot do
     */
    public GossetStreamingChatModel withParameters(ChatRequestParameters parameters) {
        return new GossetStreamingChatModel(settings.with(parameters));
    }

    /** The same with listeners in place of those it has. */
    public GossetStreamingChatModel withListeners(List<ChatModelListener> listeners) {
        return new GossetStreamingChatModel(settings.with(listeners));
    }

    /** The same with one seed for all requests: equal ones have equal answers. */
    public GossetStreamingChatModel withSeed(long seed) {
        return new GossetStreamingChatModel(settings.withSeed(seed));
    }

    @Override
    public void doChat(ChatRequest request, StreamingChatResponseHandler handler) {
        Conversation conversation = settings.conversation(request);
        Thread.startVirtualThread(() -> tell(conversation, handler));
    }

    private static void tell(Conversation conversation, StreamingChatResponseHandler handler) {
        Handle handle = new Handle(Thread.currentThread());
        try {
            ChatResponse response = conversation.answer(piece -> {
                onPartialResponse(handler, piece, handle);
                if (handle.cancelled) {
                    throw new CancellationException("the answer was cancelled");
                }
            });
            onCompleteResponse(handler, response);
        } catch (Throwable e) {
            if (!handle.cancelled) {
                withLoggingExceptions(() -> handler.onError(e));
            }
        }
    }

    @Override
    public ChatRequestParameters defaultRequestParameters() {
        return settings.parameters();
    }

    @Override
    public List<ChatModelListener> listeners() {
        return settings.listeners();
    }

    private static final class Handle implements StreamingHandle {
        private final Thread teller;
        private volatile boolean cancelled;

        Handle(Thread teller) {
            this.teller = teller;
        }

        @Override
        public void cancel() {
            cancelled = true;
            // It may wait for the next token.
            if (Thread.currentThread() != teller) {
                teller.interrupt();
            }
        }

        @Override
        public boolean isCancelled() {
            return cancelled;
        }
    }
}
