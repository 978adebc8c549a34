/** Models in this process as LangChain4j's chat models: {@link dev.gosset.langchain4j.GossetChatModel}. */
module dev.gosset.langchain4j {
    requires transitive dev.gosset.llm;
    requires transitive langchain4j.core;

    exports dev.gosset.langchain4j;
}
