package dev.gosset.cli;

import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.evaluate.MultipleChoice;
import dev.gosset.llm.evaluate.Perplexity;
import dev.gosset.llm.io.TextFile;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code gosset eval}: how good a model is. */
@Command(
        name = "eval",
        description = "Measures a model.",
        synopsisSubcommandLabel = "COMMAND",
        subcommands = {EvalCommand.PerplexityCommand.class, EvalCommand.ChoiceCommand.class})
final class EvalCommand implements Runnable {
    @Spec
    private CommandSpec spec;

    @Option(
            names = {"-h", "--help"},
            usageHelp = true,
            description = "Show this help.")
    boolean help;

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "eval needs one of: perplexity, choice");
    }

    /** {@code gosset eval perplexity}. */
    @Command(
            name = "perplexity",
            description =
                    "Perplexity of a text: chunks of --context tokens, the begin token once in front of the text.")
    static final class PerplexityCommand implements Runnable {
        @Spec
        private CommandSpec spec;

        @Mixin
        private CommonOptions common;

        @Mixin
        private CommonOptions.Run run;

        @Mixin
        private StorageFlags storage;

        @Parameters(paramLabel = "MODEL", description = "Directory of a model, original or quantized.")
        private Path model;

        @Option(names = "--text", required = true, paramLabel = "FILE", description = "UTF-8 text.")
        private Path text;

        @Option(
                names = "--context",
                paramLabel = "N",
                description = "Tokens per chunk; default: 2048, or the model's context where that is shorter.")
        private Integer context;

        @Option(names = "--chunks", paramLabel = "N", description = "Measure only the first N chunks.")
        private Integer chunks;

        @Override
        public void run() {
            try (ThreadTeam team = run.team(spec);
                    LanguageModel lm = run.open(model, storage.options(spec), team);
                    ConsoleProgress progress = new ConsoleProgress()) {
                int limit = lm.config().longestSequence();
                int size = context == null ? Math.min(2048, lm.config().maxPositions()) : context;
                if (size < 2 || size > limit || (chunks != null && chunks < 1)) {
                    throw new ParameterException(
                            spec.commandLine(),
                            "--context must be from 2 to the model's " + limit + " and --chunks at least 1, found "
                                    + size + " and " + chunks);
                }
                int[] tokens = lm.tokenizer().encode(TextFile.read(text), true);
                if (chunks != null && (long) chunks * size < tokens.length) {
                    tokens = java.util.Arrays.copyOf(tokens, chunks * size);
                }
                Perplexity result = Perplexity.measure(lm.loaded(), tokens, size, text.toString(), progress);
                if (common.json) {
                    Map<String, Object> fields = new LinkedHashMap<>();
                    fields.put("model", model.toString());
                    fields.put("text", text.toString());
                    fields.put("perplexity", result.perplexity());
                    fields.put("context", result.context());
                    fields.put("chunks", result.chunks());
                    fields.put("tokens", result.tokens());
                    fields.put("seconds", result.seconds());
                    common.printJson(fields);
                } else {
                    System.out.printf(
                            Locale.ROOT,
                            "perplexity %.4f (%d chunks of %d tokens, %s)%n",
                            result.perplexity(),
                            result.chunks(),
                            result.context(),
                            ConsoleProgress.duration(result.seconds()));
                }
            }
        }
    }

    /** {@code gosset eval choice}. */
    @Command(
            name = "choice",
            description = "Multiple choice by log-likelihood.",
            footer = {
                "",
                "Each line of the task is {\"context\": \"...\", \"choices\": [\"...\", \"...\"], \"answer\": 0}. Accuracy"
                        + " takes the most likely choice; normalized accuracy divides by its length in characters first."
            })
    static final class ChoiceCommand implements Runnable {
        @Spec
        private CommandSpec spec;

        @Mixin
        private CommonOptions common;

        @Mixin
        private CommonOptions.Run run;

        @Mixin
        private StorageFlags storage;

        @Parameters(paramLabel = "MODEL", description = "Directory of a model, original or quantized.")
        private Path model;

        @Option(names = "--task", required = true, paramLabel = "FILE.jsonl", description = "The questions.")
        private Path task;

        @Override
        public void run() {
            List<MultipleChoice.Question> questions = MultipleChoice.read(task);
            try (ThreadTeam team = run.team(spec);
                    LanguageModel lm = run.open(model, storage.options(spec), team);
                    ConsoleProgress progress = new ConsoleProgress()) {
                MultipleChoice result = MultipleChoice.measure(lm.loaded(), lm.tokenizer(), questions, progress);
                if (common.json) {
                    Map<String, Object> fields = new LinkedHashMap<>();
                    fields.put("model", model.toString());
                    fields.put("task", task.toString());
                    fields.put("accuracy", result.accuracy());
                    fields.put("normalized_accuracy", result.normalizedAccuracy());
                    fields.put("questions", result.questions());
                    fields.put("seconds", result.seconds());
                    common.printJson(fields);
                } else {
                    System.out.printf(
                            Locale.ROOT,
                            "accuracy %.4f, normalized by length %.4f (%d questions, %s)%n",
                            result.accuracy(),
                            result.normalizedAccuracy(),
                            result.questions(),
                            ConsoleProgress.duration(result.seconds()));
                }
            }
        }
    }
}
