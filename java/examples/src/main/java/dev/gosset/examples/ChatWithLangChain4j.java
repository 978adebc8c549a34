package dev.gosset.examples;

import dev.gosset.langchain4j.GossetChatModel;
import dev.gosset.llm.LanguageModel;
import java.nio.file.Path;

/** Asks a model by way of LangChain4j: {@code ChatWithLangChain4j MODEL QUESTION}. */
public final class ChatWithLangChain4j {
    private ChatWithLangChain4j() {}

    public static void main(String[] args) {
        try (LanguageModel model = LanguageModel.open(Path.of(args[0]))) {
            System.out.println(new GossetChatModel(model).chat(args[1]));
        }
    }
}
