/** Programs that embed Gosset, as modules see it. */
module dev.gosset.examples {
    requires dev.gosset.llm;
}
