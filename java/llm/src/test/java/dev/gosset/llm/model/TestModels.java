package dev.gosset.llm.model;

import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;

/** The small random models of the test resources, made by src/test/python/make_models.py. */
final class TestModels {
    static final List<String> NAMES = List.of("llama", "llama3", "llama-linear", "mistral", "qwen2", "qwen3");

    private TestModels() {}

    static Path directory(String name) {
        try {
            return Path.of(Objects.requireNonNull(TestModels.class.getResource("/models/" + name), name)
                    .toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }
}
