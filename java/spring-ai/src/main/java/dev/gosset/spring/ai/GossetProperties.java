package dev.gosset.spring.ai;

import java.nio.file.Path;
import java.util.List;
import org.springframework.ai.chat.prompt.ChatOptions;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.bind.DefaultValue;

/**
 * {@code spring.ai.gosset.*}.
 *
 * @param model directory of a model
 * @param device where it computes: {@code cpu}, {@code cuda}
 * @param seed of all requests; another one each time where there is none
 * @param chat what prompts that do not say otherwise ask for
 */
@ConfigurationProperties("spring.ai.gosset")
public record GossetProperties(
        Path model,
        @DefaultValue("cpu") String device,
        Long seed,
        @DefaultValue Chat chat) {
    /**
     * {@code spring.ai.gosset.chat.*}.
     *
     * @param options of prompts that have none
     */
    public record Chat(@DefaultValue Options options) {}

    /** {@code spring.ai.gosset.chat.options.*}, as {@link ChatOptions} has them. */
    public record Options(
            Double temperature,
            Integer topK,
            Double topP,
            Double presencePenalty,
            Double frequencyPenalty,
            Integer maxTokens,
            List<String> stopSequences) {
        ChatOptions toChatOptions() {
            return ChatOptions.builder()
                    .temperature(temperature)
                    .topK(topK)
                    .topP(topP)
                    .presencePenalty(presencePenalty)
                    .frequencyPenalty(frequencyPenalty)
                    .maxTokens(maxTokens)
                    .stopSequences(stopSequences)
                    .build();
        }
    }
}
