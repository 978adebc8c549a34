package dev.gosset.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.ScriptedModel;
import dev.gosset.llm.TinyModels;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.generate.TextGenerator;
import dev.gosset.llm.tokenizer.ChatTemplate;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.PartialResponse;
import dev.langchain4j.model.chat.response.PartialResponseContext;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.chat.response.StreamingHandle;
import dev.langchain4j.model.output.FinishReason;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What the adapters do with the engine: company, cancellation, limits; on a real model too. */
@Timeout(60)
class EngineUseTest {
    @TempDir
    Path temporary;

    @Test
    void requestsOfSeveralThreadsRunTogether() throws Exception {
        GossetChatModel model = new GossetChatModel(Scripted.model());
        ScriptedModel.forgetMost();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<String>> answers = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                answers.add(threads.submit(() -> model.chat("Tell me a long story")));
            }
            for (Future<String> answer : answers) {
                assertThat(answer.get()).isEqualTo(answers.getFirst().get());
            }
        }
        assertThat(ScriptedModel.mostTogether()).isGreaterThan(1);
    }

    @Test
    void cancellingFromElsewhereEndsAnAnswer() throws Exception {
        CompletableFuture<StreamingHandle> begun = new CompletableFuture<>();
        AtomicInteger more = new AtomicInteger();
        AtomicInteger ends = new AtomicInteger();
        new GossetStreamingChatModel(Scripted.model()).chat("Tell me a long story", new StreamingChatResponseHandler() {
            @Override
            public void onPartialResponse(PartialResponse piece, PartialResponseContext context) {
                more.incrementAndGet();
                begun.complete(context.streamingHandle());
            }

            @Override
            public void onCompleteResponse(ChatResponse response) {
                ends.incrementAndGet();
            }

            @Override
            public void onError(Throwable error) {
                ends.incrementAndGet();
            }
        });
        StreamingHandle handle = begun.get();
        assertThat(handle.isCancelled()).isFalse();
        handle.cancel();
        assertThat(handle.isCancelled()).isTrue();
        while (ScriptedModel.together() > 0) {
            Thread.sleep(5);
        }
        int said = more.get();
        Thread.sleep(100);
        assertThat(more).hasValue(said);
        assertThat(ends).hasValue(0);
        assertThat(said).isLessThan(1000);
    }

    @Test
    void whatThePromptOrTheContextForbidIsSaid() {
        assertThatThrownBy(() -> new GossetChatModel(Scripted.model()).chat("x".repeat(5000)))
                .isInstanceOf(InvalidRequestException.class)
                .hasMessageContaining("the context holds 4096");
    }

    @Test
    void aRealModelSaysWhatItSaysElsewhere() throws Exception {
        Path directory = TinyModels.copy("llama", temporary.resolve("tiny"));
        Files.writeString(
                directory.resolve("tokenizer_config.json"),
                "{\"chat_template\": \"{% for m in messages %}{{ m.content }} {% endfor %}\"}");
        try (LanguageModel model = LanguageModel.open(directory)) {
            TextGenerator.Result expected = model.chat(
                    List.of(new ChatTemplate.Message("user", "w5 w6 w7")),
                    GenerationOptions.defaults().withMaxTokens(9).withSeed(3),
                    piece -> {});
            ChatRequest request = ChatRequest.builder()
                    .messages(UserMessage.from("w5 w6 w7"))
                    .parameters(
                            ChatRequestParameters.builder().maxOutputTokens(9).build())
                    .build();
            ChatResponse whole = new GossetChatModel(model).withSeed(3).chat(request);
            assertThat(whole.aiMessage().text()).isEqualTo(expected.text());
            assertThat(whole.tokenUsage().inputTokenCount()).isEqualTo(3);
            assertThat(whole.tokenUsage().outputTokenCount()).isEqualTo(expected.tokens());
            assertThat(whole.finishReason())
                    .isEqualTo(expected.end() == TextGenerator.End.STOP ? FinishReason.STOP : FinishReason.LENGTH);
            StringBuilder pieces = new StringBuilder();
            CountDownLatch done = new CountDownLatch(1);
            new GossetStreamingChatModel(model).withSeed(3).chat(request, new StreamingChatResponseHandler() {
                @Override
                public void onPartialResponse(String piece) {
                    pieces.append(piece);
                }

                @Override
                public void onCompleteResponse(ChatResponse response) {
                    done.countDown();
                }

                @Override
                public void onError(Throwable error) {
                    pieces.append(error);
                    done.countDown();
                }
            });
            assertThat(done.await(30, TimeUnit.SECONDS)).isTrue();
            assertThat(pieces).hasToString(expected.text());
        }
    }
}
