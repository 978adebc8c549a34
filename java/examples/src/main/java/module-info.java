/** Programs that embed Gosset, as modules see it. */
module dev.gosset.examples {
    requires dev.gosset.langchain4j;
    requires dev.gosset.llm;
}
