package dev.gosset.spring.ai;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gosset.core.FormatException;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.ScriptedModel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.ai.chat.messages.AssistantMessage;
import org.springframework.ai.chat.messages.SystemMessage;
import org.springframework.ai.chat.messages.UserMessage;
import org.springframework.ai.chat.model.ChatModel;
import org.springframework.ai.chat.model.ChatResponse;
import org.springframework.ai.chat.prompt.ChatOptions;
import org.springframework.ai.chat.prompt.Prompt;
import org.springframework.boot.Banner;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.boot.builder.SpringApplicationBuilder;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** A scripted model under the real engine, by hand and by Spring Boot. */
@Timeout(120)
class GossetChatModelTest {
    @TempDir
    static Path temporary;

    private static LanguageModel model;

    @BeforeAll
    static void open() throws Exception {
        ScriptedModel.answer(prompt -> prompt.contains("long") ? "word ".repeat(400) : "told: " + prompt);
        ScriptedModel.pace(Duration.ofMillis(1));
        model = ScriptedModel.open(
                temporary.resolve("scripted"), "{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}");
    }

    @AfterAll
    static void close() {
        model.close();
    }

    @Test
    void tellsTheConversationAndWhatItTook() {
        ChatResponse response = new GossetChatModel(model)
                .call(new Prompt(List.of(
                        new SystemMessage("Be brief."),
                        new UserMessage("Hi"),
                        new AssistantMessage("Hello"),
                        new UserMessage("And?"))));
        String prompt = "[system] Be brief. [user] Hi [assistant] Hello [user] And? ";
        assertThat(response.getResult().getOutput().getText()).isEqualTo("told: " + prompt);
        assertThat(response.getResult().getMetadata().getFinishReason()).isEqualTo("STOP");
        assertThat(response.getMetadata().getModel()).isEqualTo("scripted");
        assertThat(response.getMetadata().getId()).isNotBlank();
        assertThat(response.getMetadata().getUsage().getPromptTokens()).isEqualTo(prompt.length());
        assertThat(response.getMetadata().getUsage().getCompletionTokens()).isEqualTo(prompt.length() + 6);
    }

    @Test
    void takesOptionsOfThePromptBeforeItsOwn() {
        ChatModel five =
                new GossetChatModel(model, ChatOptions.builder().maxTokens(5).build(), 1L);
        ChatResponse response = five.call(new Prompt("x"));
        assertThat(response.getResult().getOutput().getText()).isEqualTo("told:");
        assertThat(response.getResult().getMetadata().getFinishReason()).isEqualTo("LENGTH");
        ChatOptions options = ChatOptions.builder()
                .maxTokens(50)
                .stopSequences(List.of("[user]"))
                .build();
        assertThat(five.call(new Prompt("x", options)).getResult().getOutput().getText())
                .isEqualTo("told: ");
    }

    @Test
    void streamsPiecesThenWhatItTook() {
        List<ChatResponse> all =
                new GossetChatModel(model).stream(new Prompt("x")).collectList().block();
        assertThat(all).hasSizeGreaterThan(5);
        assertThat(all.stream().map(r -> r.getResult().getOutput().getText()).collect(Collectors.joining()))
                .isEqualTo("told: [user] x ");
        assertThat(all.getLast().getMetadata().getUsage().getCompletionTokens()).isEqualTo(15);
        assertThat(all.getLast().getResult().getMetadata().getFinishReason()).isEqualTo("STOP");
    }

    @Test
    void endsAnAnswerThatNobodyReadsOn() throws Exception {
        assertThat(new GossetChatModel(model)
                        .stream(new Prompt("long")).take(3).collectList().block())
                .hasSize(3);
        while (ScriptedModel.together() > 0) {
            Thread.sleep(5);
        }
    }

    @Test
    void refusesByName() {
        GossetChatModel chat = new GossetChatModel(model);
        assertThatThrownBy(() -> chat.call(
                        new Prompt("x", ChatOptions.builder().model("other").build())))
                .hasMessageContaining("the model 'other' is not supported");
        assertThatThrownBy(() -> chat.call(
                        new Prompt("x", ChatOptions.builder().temperature(-1.0).build())))
                .hasMessageContaining("temperature");
        assertThatThrownBy(() -> chat.call("x".repeat(5000)))
                .isInstanceOf(FormatException.class)
                .hasMessageContaining("the context holds 4096");
        assertThatThrownBy(() -> chat.stream("x".repeat(5000)).blockLast()).isInstanceOf(FormatException.class);
    }

    @Configuration
    @EnableAutoConfiguration
    static class Application {}

    @Configuration
    @EnableAutoConfiguration
    static class WithAModel {
        @Bean
        ChatModel mine() {
            return prompt -> null;
        }
    }

    private static ConfigurableApplicationContext run(Class<?> application, String... properties) {
        return new SpringApplicationBuilder(application)
                .bannerMode(Banner.Mode.OFF)
                .logStartupInfo(false)
                .properties(properties)
                .run();
    }

    @Test
    void springBootMakesItOfProperties() {
        String directory = "spring.ai.gosset.model=" + temporary.resolve("scripted");
        String device = "spring.ai.gosset.device=scripted";
        LanguageModel opened;
        try (var context = run(Application.class, directory, device, "spring.ai.gosset.chat.options.max-tokens=4")) {
            opened = context.getBean(LanguageModel.class);
            assertThat(context.getBean(ChatModel.class).call("x")).isEqualTo("told");
        }
        assertThatThrownBy(() -> new GossetChatModel(opened).call("x")).hasMessageContaining("closed");
        try (var context = run(Application.class, directory, device, "spring.ai.model.chat=other")) {
            assertThat(context.getBeanNamesForType(ChatModel.class)).isEmpty();
        }
        try (var context = run(WithAModel.class, directory, device)) {
            assertThat(context.getBeanNamesForType(ChatModel.class)).containsExactly("mine");
        }
        assertThatThrownBy(() -> run(Application.class).close())
                .hasRootCauseMessage("spring.ai.gosset.model must name the directory of a model");
    }
}
