package dev.gosset.cli;

import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.Progress;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.evaluate.ChoiceFormat;
import dev.gosset.llm.evaluate.Divergence;
import dev.gosset.llm.evaluate.MultipleChoice;
import dev.gosset.llm.evaluate.Perplexity;
import dev.gosset.llm.io.TextFile;
import dev.gosset.llm.plan.ModelConfig;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine;
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
        subcommands = {
            EvalCommand.PerplexityCommand.class,
            EvalCommand.DivergenceCommand.class,
            EvalCommand.ChoiceCommand.class
        })
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
        throw new ParameterException(spec.commandLine(), "eval needs one of: perplexity, divergence, choice");
    }

    /** The flags that say which chunks of which text are measured. */
    static final class ChunkOptions {
        @Option(names = "--text", required = true, paramLabel = "FILE", description = "UTF-8 text.")
        Path text;

        @Option(
                names = "--context",
                paramLabel = "N",
                description = "Tokens per chunk; default: 2048, or the model's context where that is shorter.")
        private Integer context;

        @Option(names = "--chunks", paramLabel = "N", description = "Measure only the first N chunks.")
        private Integer chunks;

        /** For picocli. */
        ChunkOptions() {}

        /**
         * @param context null for the default
         * @param chunks null for all
         */
        ChunkOptions(Path text, Integer context, Integer chunks) {
            this.text = text;
            this.context = context;
            this.chunks = chunks;
        }

        /** Tokens per chunk. */
        int context(CommandSpec spec, ModelConfig config) {
            int limit = config.longestSequence();
            int size = context == null ? Math.min(2048, config.maxPositions()) : context;
            if (size < 2 || size > limit || (chunks != null && chunks < 1)) {
                throw new ParameterException(
                        spec.commandLine(),
                        "--context must be from 2 to the model's " + limit + " and --chunks at least 1, found " + size
                                + " and " + chunks);
            }
            return size;
        }

        /** The tokens that are measured. */
        int[] of(int[] tokens, int size) {
            return chunks != null && (long) chunks * size < tokens.length
                    ? Arrays.copyOf(tokens, chunks * size)
                    : tokens;
        }

        void put(Map<String, Object> fields, Perplexity result) {
            fields.put("text", text.toString());
            fields.put("perplexity", result.perplexity());
            fields.put("context", result.context());
            fields.put("chunks", result.chunks());
            fields.put("tokens", result.tokens());
            fields.put("seconds", result.seconds());
        }
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

        @Parameters(
                paramLabel = "MODEL",
                converter = Arguments.Model.class,
                description = "Directory of a model, original or quantized, or the name of a pulled one.")
        private Path model;

        @Mixin
        private ChunkOptions chunks;

        @Override
        public void run() {
            try (ThreadTeam team = run.team(spec);
                    LanguageModel lm = run.open(model, storage.options(spec), team);
                    ConsoleProgress progress = new ConsoleProgress()) {
                int size = chunks.context(spec, lm.config());
                int[] tokens = chunks.of(lm.tokenizer().encode(TextFile.read(chunks.text), true), size);
                Perplexity result = Perplexity.measure(lm.loaded(), tokens, size, chunks.text.toString(), progress);
                if (common.json) {
                    Map<String, Object> fields = new LinkedHashMap<>();
                    fields.put("model", model.toString());
                    chunks.put(fields, result);
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

    /** {@code gosset eval divergence}. */
    @Command(
            name = "divergence",
            description = "How far a quantized model is from the model it was made from, its teacher.",
            footer = {
                "",
                "The measure is the Kullback-Leibler divergence of the model's distribution of the next token from the"
                        + " teacher's, in nats, mean over all predictions of all chunks: 0 for the teacher itself. Its"
                        + " standard error is over the chunks. Two quantizations of one model that a perplexity cannot tell"
                        + " apart are told apart by it with a tenth of the text."
            })
    static final class DivergenceCommand implements Runnable {
        @Spec
        private CommandSpec spec;

        @Mixin
        private CommonOptions common;

        @Mixin
        private CommonOptions.Run run;

        @Mixin
        private StorageFlags storage;

        @Parameters(
                paramLabel = "MODEL",
                converter = Arguments.Model.class,
                description = "Directory of a model, original or quantized, or the name of a pulled one.")
        private Path model;

        @Option(
                names = "--teacher",
                required = true,
                paramLabel = "DIR",
                converter = Arguments.Model.class,
                description = "Directory of the model that MODEL was made from. It also lends its tokenizer to a MODEL"
                        + " without one.")
        private Path teacher;

        @Mixin
        private ChunkOptions chunks;

        @Override
        public void run() {
            try (ThreadTeam team = run.team(spec);
                    ConsoleProgress progress = new ConsoleProgress()) {
                Divergence result = measure(model, teacher, run, storage.options(spec), chunks, spec, team, progress);
                if (common.json) {
                    Map<String, Object> fields = new LinkedHashMap<>();
                    fields.put("model", model.toString());
                    fields.put("teacher", teacher.toString());
                    put(fields, result);
                    chunks.put(fields, result.perplexity());
                    common.printJson(fields);
                } else {
                    System.out.println(text(result));
                }
            }
        }

        /** Runs both models over the text. */
        static Divergence measure(
                Path model,
                Path teacher,
                CommonOptions.Run run,
                StorageOptions storage,
                ChunkOptions chunks,
                CommandSpec spec,
                ThreadTeam team,
                Progress progress) {
            try (LanguageModel lm = run.openBeside(teacher, model, storage, team);
                    LanguageModel original = LanguageModel.open(teacher, null, storage, team, run.device)) {
                int size = chunks.context(spec, lm.config());
                int[] tokens = chunks.of(
                        Divergence.tokenize(
                                TextFile.read(chunks.text),
                                lm.tokenizer(),
                                original.tokenizer(),
                                lm.config().vocabularySize(),
                                model.toString(),
                                teacher.toString()),
                        size);
                return Divergence.measure(
                        lm.loaded(), original.loaded(), tokens, size, chunks.text.toString(), progress);
            }
        }

        static void put(Map<String, Object> fields, Divergence result) {
            fields.put("kl", result.kl());
            // JSON has no number for "one chunk does not tell".
            fields.put("kl_error", Double.isNaN(result.klError()) ? null : result.klError());
            fields.put("top1_agreement", result.top1Agreement());
            fields.put("teacher_perplexity", result.teacherPerplexity());
        }

        static String text(Divergence result) {
            return String.format(
                    Locale.ROOT,
                    "KL %.5f +- %.5f nats per token, top-1 agreement %.2f %%, perplexity %.4f, the teacher's %.4f"
                            + " (%d chunks of %d tokens, %s)",
                    result.kl(),
                    result.klError(),
                    100 * result.top1Agreement(),
                    result.perplexity().perplexity(),
                    result.teacherPerplexity(),
                    result.perplexity().chunks(),
                    result.perplexity().context(),
                    ConsoleProgress.duration(result.perplexity().seconds()));
        }
    }

    /** {@code gosset eval choice}. */
    @Command(
            name = "choice",
            description = "Multiple choice by log-likelihood.",
            footer = {
                "",
                "Each line of the task is {\"context\": \"...\", \"choices\": [\"...\", \"...\"], \"answer\": 0}, or what"
                        + " --format names: arc, boolq, piqa, winogrande, hellaswag and lambada are the sets as they are"
                        + " published, each with the prompt of lm-evaluation-harness without examples. Accuracy"
                        + " takes the most likely choice; normalized accuracy divides by its length in characters first. In"
                        + " lambada the last word is right where each of its tokens is the most likely one."
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

        @Parameters(
                paramLabel = "MODEL",
                converter = Arguments.Model.class,
                description = "Directory of a model, original or quantized, or the name of a pulled one.")
        private Path model;

        @Option(names = "--task", required = true, paramLabel = "FILE.jsonl", description = "The questions.")
        private Path task;

        @Option(
                names = "--format",
                paramLabel = "NAME",
                converter = FormatConverter.class,
                description = "arc, boolq, piqa, winogrande, hellaswag, lambada or gosset; default: ${DEFAULT-VALUE}.")
        private ChoiceFormat format = ChoiceFormat.GOSSET;

        @Option(
                names = "--answers",
                paramLabel = "FILE.jsonl",
                description = "Write what the model says to each question: log-likelihoods, and whether it is right.")
        private Path answers;

        /** Reads {@code --format}. */
        static final class FormatConverter implements CommandLine.ITypeConverter<ChoiceFormat> {
            @Override
            public ChoiceFormat convert(String text) {
                for (ChoiceFormat format : ChoiceFormat.values()) {
                    if (format.toString().equals(text)) {
                        return format;
                    }
                }
                throw new CommandLine.TypeConversionException(
                        "expected " + Arrays.toString(ChoiceFormat.values()) + ", found " + text);
            }
        }

        @Override
        public void run() {
            OutputFile.requireWritable(answers);
            List<MultipleChoice.Question> questions = MultipleChoice.read(task, format);
            try (ThreadTeam team = run.team(spec);
                    LanguageModel lm = run.open(model, storage.options(spec), team);
                    ConsoleProgress progress = new ConsoleProgress()) {
                MultipleChoice result = MultipleChoice.measure(lm.loaded(), lm.tokenizer(), questions, progress);
                OutputFile.write(answers, MultipleChoice.toJsonLines(result.answers()));
                double error = result.error(result.accuracy());
                double normalizedError = result.error(result.normalizedAccuracy());
                if (common.json) {
                    Map<String, Object> fields = new LinkedHashMap<>();
                    fields.put("model", model.toString());
                    fields.put("task", task.toString());
                    fields.put("format", format.toString());
                    fields.put("accuracy", result.accuracy());
                    fields.put("accuracy_error", Double.isNaN(error) ? null : error);
                    fields.put("normalized_accuracy", result.normalizedAccuracy());
                    fields.put("normalized_accuracy_error", Double.isNaN(normalizedError) ? null : normalizedError);
                    fields.put("questions", result.questions());
                    fields.put("seconds", result.seconds());
                    common.printJson(fields);
                } else {
                    System.out.printf(
                            Locale.ROOT,
                            "accuracy %.4f +- %.4f, normalized by length %.4f +- %.4f (%d questions, %s)%n",
                            result.accuracy(),
                            error,
                            result.normalizedAccuracy(),
                            normalizedError,
                            result.questions(),
                            ConsoleProgress.duration(result.seconds()));
                }
            }
        }
    }
}
