package dev.gosset.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.http.StreamResponse;
import com.openai.errors.BadRequestException;
import com.openai.errors.UnauthorizedException;
import com.openai.helpers.ChatCompletionAccumulator;
import com.openai.models.chat.completions.ChatCompletion;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.chat.completions.ChatCompletionStreamOptions;
import com.openai.models.completions.CompletionCreateParams;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A client that nobody here wrote: openai-java. */
@Timeout(120)
class OpenAiJavaTest {
    @TempDir
    static Path temporary;

    private static Served served;
    private static OpenAIClient client;

    @BeforeAll
    static void start() throws Exception {
        served = Served.start(temporary, ServerSettings.of(256).withApiKey("secret"));
        client = client("secret");
    }

    @AfterAll
    static void stop() {
        client.close();
        served.close();
    }

    private static OpenAIClient client(String key) {
        return OpenAIOkHttpClient.builder()
                .baseUrl(served.uri("/v1").toString())
                .apiKey(key)
                .maxRetries(0)
                .build();
    }

    private static ChatCompletionCreateParams.Builder chat() {
        return ChatCompletionCreateParams.builder()
                .model("tiny")
                .addSystemMessage("w4")
                .addUserMessage("w5 w6 w7")
                .maxCompletionTokens(12)
                .temperature(0);
    }

    @Test
    void chats() {
        ChatCompletion whole = client.chat()
                .completions()
                .create(chat().logprobs(true).topLogprobs(2).build());
        assertThat(whole.choices()).hasSize(1);
        assertThat(whole.choices().getFirst().logprobs().orElseThrow().content().orElseThrow())
                .isNotEmpty()
                .allMatch(l -> l.topLogprobs().size() == 2);
        assertThat(whole.usage().orElseThrow().promptTokens()).isEqualTo(6);
        ChatCompletionAccumulator all = ChatCompletionAccumulator.create();
        try (StreamResponse<ChatCompletionChunk> stream = client.chat()
                .completions()
                .createStreaming(chat().streamOptions(ChatCompletionStreamOptions.builder()
                                .includeUsage(true)
                                .build())
                        .build())) {
            stream.stream().forEach(all::accumulate);
        }
        ChatCompletion streamed = all.chatCompletion();
        assertThat(streamed.choices().getFirst().message().content())
                .isEqualTo(whole.choices().getFirst().message().content());
        assertThat(streamed.choices().getFirst().finishReason())
                .isEqualTo(whole.choices().getFirst().finishReason());
        assertThat(streamed.usage().orElseThrow().completionTokens())
                .isEqualTo(whole.usage().orElseThrow().completionTokens());
    }

    @Test
    void stopsBeforeAStopString() {
        String text = client.chat()
                .completions()
                .create(chat().build())
                .choices()
                .getFirst()
                .message()
                .content()
                .orElseThrow();
        // From the second word on: the first may be the whole of it.
        String stop = text.substring(text.indexOf(' ', 1));
        ChatCompletion.Choice stopped = client.chat()
                .completions()
                .create(chat().stop(stop).build())
                .choices()
                .getFirst();
        assertThat(stopped.message().content()).hasValue(text.substring(0, text.indexOf(stop)));
        assertThat(stopped.finishReason()).isEqualTo(ChatCompletion.Choice.FinishReason.STOP);
    }

    @Test
    void completesAndLists() {
        assertThat(client.completions()
                        .create(CompletionCreateParams.builder()
                                .model("tiny")
                                .prompt("w5 w6")
                                .echo(true)
                                .logprobs(1)
                                .maxTokens(1)
                                .build())
                        .choices()
                        .getFirst()
                        .logprobs()
                        .orElseThrow()
                        .tokens()
                        .orElseThrow())
                .hasSizeBetween(2, 3);
        assertThat(client.models().list().data()).extracting(m -> m.id()).containsExactly("tiny");
    }

    @Test
    void errorsAreWhatTheyAreElsewhere() {
        assertThatThrownBy(
                        () -> client.chat().completions().create(chat().n(1000).build()))
                .isInstanceOf(BadRequestException.class)
                .hasMessageContaining("n must be");
        OpenAIClient other = client("wrong");
        assertThatThrownBy(() -> other.models().list()).isInstanceOf(UnauthorizedException.class);
        other.close();
    }
}
