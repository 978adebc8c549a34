package dev.gosset.cli;

import dev.gosset.core.FormatException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.constraint.Grammar;
import dev.gosset.llm.constraint.UnsupportedSchemaException;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.generate.TextGenerator;
import dev.gosset.llm.io.JsonFile;
import dev.gosset.llm.sampling.LogProbabilities;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code gosset generate}: continues a prompt. */
@Command(name = "generate", description = "Continues a prompt, streaming the text.")
final class GenerateCommand implements Runnable {
    @Spec
    private CommandSpec spec;

    @Mixin
    private CommonOptions common;

    @Mixin
    private CommonOptions.Run run;

    @Mixin
    private StorageFlags storage;

    @Mixin
    private SamplingOptions sampling;

    @Parameters(
            paramLabel = "MODEL",
            converter = Arguments.Model.class,
            description = "Directory of a model, original or quantized, or the name of a pulled one.")
    private Path model;

    @Option(names = "--prompt", required = true, paramLabel = "TEXT", description = "The text to continue.")
    private String prompt;

    @Option(
            names = "--schema",
            paramLabel = "FILE",
            description = "Write JSON that fulfils the JSON schema of this file.")
    private Path schema;

    @Override
    public void run() {
        sampling.check(spec, common.json);
        Grammar grammar = schema == null ? null : grammar();
        try (ThreadTeam team = run.team(spec);
                LanguageModel lm = run.open(model, storage.options(spec), team);
                TextGenerator generator = lm.newGenerator(sampling.context(spec, lm))) {
            GenerationOptions options = sampling.options(spec, lm.sampling());
            if (grammar != null) {
                options = options.withMask(lm.constraint(grammar).newMask());
            }
            int[] tokens = lm.tokenizer().encode(prompt, true);
            if (common.json) {
                TextGenerator.Result result = generator.generate(tokens, options, piece -> {});
                common.printJson(fields(result, options, lm.tokenizer()));
                return;
            }
            System.out.print(prompt);
            System.out.flush();
            TextGenerator.Result result = generator.generate(tokens, options, piece -> {
                System.out.print(piece);
                System.out.flush();
            });
            System.out.println();
            System.err.println(summary(result));
        }
    }

    private Grammar grammar() {
        try {
            return Grammar.jsonSchema(JsonFile.read(schema).node());
        } catch (UnsupportedSchemaException e) {
            throw new FormatException(schema + ": " + e.getMessage(), e);
        }
    }

    static Map<String, Object> fields(TextGenerator.Result result, GenerationOptions options, Tokenizer tokenizer) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("text", result.text());
        fields.put("prompt_tokens", result.promptTokens());
        fields.put("tokens", result.tokens());
        fields.put("end", result.end().name().toLowerCase(Locale.ROOT));
        fields.put("prefill_seconds", result.prefillSeconds());
        fields.put("decode_seconds", result.decodeSeconds());
        fields.put("tokens_per_second", result.tokensPerSecond());
        fields.put("sampling", options.sampling().fields());
        if (options.logProbabilities() >= 0) {
            fields.put("logprobs", logProbabilities(result.logProbabilities(), tokenizer));
        }
        return fields;
    }

    private static List<Map<String, Object>> logProbabilities(List<LogProbabilities> all, Tokenizer tokenizer) {
        return all.stream()
                .map(l -> {
                    Map<String, Object> token = logProbability(l.token(), l.logProbability(), tokenizer);
                    token.put(
                            "top",
                            l.top().stream()
                                    .map(t -> logProbability(t.token(), t.logProbability(), tokenizer))
                                    .toList());
                    return token;
                })
                .toList();
    }

    private static Map<String, Object> logProbability(int token, double logProbability, Tokenizer tokenizer) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("id", token);
        fields.put("token", tokenizer.textOf(token));
        // JSON knows no infinity: a token that is impossible has none.
        fields.put("logprob", Double.isInfinite(logProbability) ? null : logProbability);
        return fields;
    }

    static String summary(TextGenerator.Result result) {
        return String.format(
                Locale.ROOT,
                "[%d prompt tokens in %.2f s, %d tokens at %.1f tokens/s%s]",
                result.promptTokens(),
                result.prefillSeconds(),
                result.tokens(),
                result.tokensPerSecond(),
                switch (result.end()) {
                    case STOP, STOP_STRING -> "";
                    case MAX_TOKENS -> ", stopped by --max-tokens";
                    case CONTEXT_FULL -> ", stopped: the context is full";
                });
    }
}
