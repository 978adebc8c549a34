package dev.gosset.examples;

import dev.gosset.llm.LanguageModel;
import java.nio.file.Path;

/** Streams a continuation of a prompt: {@code GenerateText MODEL PROMPT}. */
public final class GenerateText {
    private GenerateText() {}

    public static void main(String[] args) {
        try (LanguageModel model = LanguageModel.open(Path.of(args[0]))) {
            model.generate(args[1], System.out::print);
        }
    }
}
