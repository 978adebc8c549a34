package dev.gosset.langchain4j;

import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.ScriptedModel;
import java.io.IOException;
import java.nio.file.Files;
import java.time.Duration;
import java.util.Map;

/** What LangChain4j's suite asks, and what a model that knows it answers. */
final class Scripted {
    private static final Map<String, String> ANSWERS = Map.of(
            "capital of Germany", "The capital of Germany is Berlin, and 2 + 2 is 4.",
            "Translate: 'I love you'", "Ich liebe dich.",
            "What is my favorite color?", "Your favorite color is green.",
            "Say 'Hello World'", "Hello World!",
            "Tell me a long story", "Once upon a time there was a lynx. ".repeat(50));

    private static LanguageModel model;

    private Scripted() {}

    /** One for all tests of this JVM. */
    static synchronized LanguageModel model() {
        if (model == null) {
            ScriptedModel.answer(prompt -> {
                String last = prompt.substring(prompt.lastIndexOf("<|turn|>user:"));
                return ANSWERS.entrySet().stream()
                        .filter(e -> last.contains(e.getKey()))
                        .findFirst()
                        .map(Map.Entry::getValue)
                        .orElse("What?");
            });
            ScriptedModel.pace(Duration.ofMillis(1));
            try {
                model = ScriptedModel.open(
                        Files.createTempDirectory("gosset-scripted").resolve("scripted"),
                        "{% for m in messages %}<|turn|>{{ m.role }}: {{ m.content }}{% endfor %}<|turn|>assistant:");
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        }
        return model;
    }
}
