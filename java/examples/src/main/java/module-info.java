/** Programs that embed Gosset, as modules see it. */
module dev.gosset.examples {
    requires dev.gosset.langchain4j;
    requires dev.gosset.llm;
    requires dev.gosset.spring.ai;
    requires spring.boot;
    requires spring.boot.autoconfigure;
    requires spring.context;

    // An application of Spring's is read by reflection.
    opens dev.gosset.examples to
            spring.beans,
            spring.context,
            spring.core;
}
