package dev.gosset.cli;

import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.generate.TextGenerator;
import java.nio.file.Path;
import java.util.LinkedHashMap;
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

    @Parameters(paramLabel = "MODEL", description = "Directory of a model, original or quantized.")
    private Path model;

    @Option(names = "--prompt", required = true, paramLabel = "TEXT", description = "The text to continue.")
    private String prompt;

    @Override
    public void run() {
        GenerationOptions options = sampling.options(spec);
        try (ThreadTeam team = run.team(spec);
                LanguageModel lm = run.open(model, storage.options(spec), team);
                TextGenerator generator = lm.newGenerator(sampling.context(spec, lm), team)) {
            int[] tokens = lm.tokenizer().encode(prompt, true);
            if (common.json) {
                TextGenerator.Result result = generator.generate(tokens, options, piece -> {});
                common.printJson(fields(result));
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

    static Map<String, Object> fields(TextGenerator.Result result) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("text", result.text());
        fields.put("prompt_tokens", result.promptTokens());
        fields.put("tokens", result.tokens());
        fields.put("end", result.end().name().toLowerCase(Locale.ROOT));
        fields.put("prefill_seconds", result.prefillSeconds());
        fields.put("decode_seconds", result.decodeSeconds());
        fields.put("tokens_per_second", result.tokensPerSecond());
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
                    case STOP -> "";
                    case MAX_TOKENS -> ", stopped by --max-tokens";
                    case CONTEXT_FULL -> ", stopped: the context is full";
                });
    }
}
