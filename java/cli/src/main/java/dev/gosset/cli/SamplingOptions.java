package dev.gosset.cli;

import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.sampling.Sampling;
import java.util.List;
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
            description =
                    "0 takes the most likely token; default: as the model's generation_config.json says, else 0.8.")
    private Double temperature;

    @Option(
            names = "--top-k",
            paramLabel = "K",
            description = "Keep the K most likely tokens, 0 all; default: as the model says, else 0.")
    private Integer topK;

    @Option(
            names = "--top-p",
            paramLabel = "P",
            description =
                    "Keep the most likely tokens that make up probability P; default: as the model says, else 0.95.")
    private Double topP;

    @Option(
            names = "--min-p",
            paramLabel = "P",
            description =
                    "Keep tokens at least P times as likely as the likeliest; default: as the model says, else 0.")
    private Double minP;

    @Option(
            names = "--repetition-penalty",
            paramLabel = "R",
            description =
                    "Make tokens of prompt and text less likely, 1 not at all; default: as the model says, else 1.")
    private Double repetitionPenalty;

    @Option(
            names = "--presence-penalty",
            paramLabel = "X",
            description = "Take X from the logits of tokens that the text has; default ${DEFAULT-VALUE}.")
    private double presencePenalty;

    @Option(
            names = "--frequency-penalty",
            paramLabel = "X",
            description = "Take X from a token's logit for each time that the text has it; default ${DEFAULT-VALUE}.")
    private double frequencyPenalty;

    @Option(
            names = "--stop",
            paramLabel = "TEXT",
            description = "End where this text comes, without it; may be given several times.")
    private List<String> stop = List.of();

    @Option(
            names = "--logprobs",
            paramLabel = "N",
            description = "With --json: the log-probability of each token and of the N most likely ones.")
    private Integer logProbabilities;

    @Option(names = "--seed", paramLabel = "N", description = "Seed of the random choices; default ${DEFAULT-VALUE}.")
    private long seed;

    @Option(
            names = "--context",
            paramLabel = "N",
            description = "Tokens of prompt and text together; default: 4096, or the model's context where that is"
                    + " shorter.")
    private Integer context;

    /** Refuses values out of bounds, before a model is opened. */
    void check(CommandSpec spec, boolean json) {
        if (logProbabilities != null && !json) {
            throw new ParameterException(spec.commandLine(), "--logprobs needs --json");
        }
        options(spec, Sampling.defaults());
    }

    /** The flags over what the model says. */
    GenerationOptions options(CommandSpec spec, Sampling model) {
        try {
            Sampling s = model.withSeed(seed)
                    .withPresencePenalty(presencePenalty)
                    .withFrequencyPenalty(frequencyPenalty)
                    .withTemperature(temperature == null ? model.temperature() : temperature)
                    .withTopK(topK == null ? model.topK() : topK)
                    .withTopP(topP == null ? model.topP() : topP)
                    .withMinP(minP == null ? model.minP() : minP)
                    .withRepetitionPenalty(repetitionPenalty == null ? model.repetitionPenalty() : repetitionPenalty);
            return new GenerationOptions(maxTokens, s)
                    .withStop(stop)
                    .withLogProbabilities(
                            logProbabilities == null ? GenerationOptions.NO_LOG_PROBABILITIES : logProbabilities);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), e.getMessage(), e);
        }
    }

    int context(CommandSpec spec, LanguageModel model) {
        return context(spec, model.config(), context);
    }

    /**
     * The context of a model that is run.
     *
     * @param context what was asked for, or null
     */
    static int context(CommandSpec spec, ModelConfig config, Integer context) {
        int limit = config.longestSequence();
        int size = context == null ? Math.min(LanguageModel.DEFAULT_CONTEXT, config.maxPositions()) : context;
        if (size < 2 || size > limit) {
            throw new ParameterException(
                    spec.commandLine(), "--context must be from 2 to the model's " + limit + ", found " + size);
        }
        return size;
    }
}
