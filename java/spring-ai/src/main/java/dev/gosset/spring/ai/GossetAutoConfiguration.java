package dev.gosset.spring.ai;

import dev.gosset.core.GossetException;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.device.Device;
import org.springframework.ai.chat.model.ChatModel;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.context.annotation.Bean;

/**
 * A {@link GossetChatModel} of {@link GossetProperties}, where there is no other {@link ChatModel} and {@code spring.ai.model.chat} is
 * {@code gosset} or not set. A {@link LanguageModel} of the application takes the place of {@code spring.ai.gosset.model}.
 */
@AutoConfiguration
@ConditionalOnMissingBean(ChatModel.class)
@ConditionalOnProperty(name = "spring.ai.model.chat", havingValue = "gosset", matchIfMissing = true)
@EnableConfigurationProperties(GossetProperties.class)
public class GossetAutoConfiguration {
    /** The model of the properties, closed with the application. */
    @Bean
    @ConditionalOnMissingBean
    LanguageModel gossetLanguageModel(GossetProperties properties) {
        if (properties.model() == null) {
            throw new GossetException("spring.ai.gosset.model must name the directory of a model");
        }
        return LanguageModel.open(properties.model(), Device.parse(properties.device()));
    }

    @Bean
    GossetChatModel gossetChatModel(LanguageModel model, GossetProperties properties) {
        return new GossetChatModel(model, properties.chat().options().toChatOptions(), properties.seed());
    }
}
