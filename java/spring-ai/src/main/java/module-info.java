/**
 * Models in this process as Spring AI's chat model: {@link dev.gosset.spring.ai.GossetChatModel}, which Spring Boot makes of the properties
 * {@code spring.ai.gosset.*}.
 */
module dev.gosset.spring.ai {
    requires transitive dev.gosset.llm;
    requires transitive reactor.core;
    requires transitive spring.ai.model;
    requires spring.ai.commons;
    requires spring.boot;
    requires spring.boot.autoconfigure;
    requires spring.context;
    requires spring.core;

    exports dev.gosset.spring.ai;

    opens dev.gosset.spring.ai;
}
