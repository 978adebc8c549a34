package dev.gosset.cli;

import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.generate.GenerationOptions;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** The flags that say how text is generated. */
final class SamplingOptions {
    @Option(
            names = "--max-tokens",
            paramLabel = "N",
            description = "Most tokens to generate; default ${DEFAULT-VALUE}.")
    private int maxTokens = 256;

    @Option(
            names = "--temperature",
            paramLabel = "T",
            description = "0 takes the most likely token; default ${DEFAULT-VALUE}.")
    private double temperature = 0.8;

    @Option(
            names = "--top-k",
            paramLabel = "K",
            description = "Keep the K most likely tokens; 0 keeps all, the default.")
    private int topK;

    @Option(
            names = "--top-p",
            paramLabel = "P",
            description = "Keep the most likely tokens that make up probability P; default ${DEFAULT-VALUE}.")
    private double topP = 0.95;

    @Option(names = "--seed", paramLabel = "N", description = "Seed of the random choices; default ${DEFAULT-VALUE}.")
    private long seed;

    @Option(
            names = "--context",
            paramLabel = "N",
            description = "Tokens of prompt and text together; default: 4096, or the model's context where that is"
                    + " shorter.")
    private Integer context;

    GenerationOptions options(CommandSpec spec) {
        try {
            return new GenerationOptions(maxTokens, temperature, topK, topP, seed);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), e.getMessage(), e);
        }
    }

    int context(CommandSpec spec, LanguageModel model) {
        int limit = model.config().maxPositions();
        int size = context == null ? Math.min(LanguageModel.DEFAULT_CONTEXT, limit) : context;
        if (size < 2 || size > limit) {
            throw new ParameterException(
                    spec.commandLine(), "--context must be from 2 to the model's " + limit + ", found " + size);
        }
        return size;
    }
}
