package dev.gosset.llm.generate;

import dev.gosset.core.FormatException;
import dev.gosset.core.memory.ReadableFile;
import dev.gosset.llm.io.JsonFile;
import dev.gosset.llm.sampling.Sampling;
import java.nio.file.Path;

/** What generation_config.json says of sampling: the settings that a model's makers recommend. */
public final class GenerationConfig {
    private GenerationConfig() {}

    /**
     * The settings of a model directory; for what its file does not say, or where there is none, {@link Sampling#defaults}.
     *
     * @throws FormatException where a value is not what it must be
     */
    public static Sampling sampling(Path directory) {
        Path file = directory.resolve("generation_config.json");
        Sampling s = Sampling.defaults();
        if (!ReadableFile.isPresent(file)) {
            return s;
        }
        JsonFile json = JsonFile.read(file);
        try {
            s = s.withTemperature(json.number("temperature", -1, Double.MAX_VALUE, s.temperature()))
                    .withTopP(json.number("top_p", 0, 1, s.topP()))
                    // Some write -1 for all.
                    .withTopK(Math.max(0, json.integer("top_k", -1, Integer.MAX_VALUE, s.topK())))
                    .withMinP(json.number("min_p", -1, 1, s.minP()))
                    .withRepetitionPenalty(
                            json.number("repetition_penalty", 0, Double.MAX_VALUE, s.repetitionPenalty()));
        } catch (IllegalArgumentException e) {
            throw new FormatException(file + ": " + e.getMessage(), e);
        }
        return json.flag("do_sample", true) ? s : s.withTemperature(0);
    }
}
