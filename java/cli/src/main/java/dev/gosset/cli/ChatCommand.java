package dev.gosset.cli;

import dev.gosset.core.FormatException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.LanguageModel;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.generate.TextGenerator;
import dev.gosset.llm.io.Utf8;
import dev.gosset.llm.tokenizer.ChatTemplate;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code gosset chat}: a conversation on the terminal. */
@Command(
        name = "chat",
        description = "A conversation in the model's own chat template.",
        footer = {"", "Type a message and Enter. /reset forgets the conversation, /quit or end of input leaves."})
final class ChatCommand implements Runnable {
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

    @Option(names = "--system", paramLabel = "TEXT", description = "A system message in front of the conversation.")
    private String system;

    @Override
    public void run() {
        sampling.check(spec, common.json);
        try (ThreadTeam team = run.team(spec);
                LanguageModel lm = run.open(model, storage.options(spec), team);
                TextGenerator generator = lm.newGenerator(sampling.context(spec, lm))) {
            GenerationOptions options = sampling.options(spec, lm.sampling());
            ChatTemplate template = lm.tokenizer().chatTemplate();
            InputStream in = new BufferedInputStream(System.in);
            List<ChatTemplate.Message> messages = opening();
            for (int number = 1; ; number++) {
                if (!common.json) {
                    System.err.print("> ");
                    System.err.flush();
                }
                String line = readLine(in, number);
                if (line == null || line.strip().equals("/quit")) {
                    return;
                }
                if (line.strip().equals("/reset")) {
                    messages = opening();
                } else if (!line.isBlank()) {
                    messages.add(new ChatTemplate.Message("user", line.strip()));
                    answer(lm, generator, template, messages, options);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The next line without its end, or null where there is none. */
    private static String readLine(InputStream in, int number) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        int b = in.read();
        if (b < 0) {
            return null;
        }
        for (; b >= 0 && b != '\n'; b = in.read()) {
            bytes.write(b);
        }
        return Utf8.decode("standard input: message " + number, bytes.toByteArray());
    }

    private List<ChatTemplate.Message> opening() {
        List<ChatTemplate.Message> messages = new ArrayList<>();
        if (system != null) {
            messages.add(new ChatTemplate.Message("system", system));
        }
        return messages;
    }

    private void answer(
            LanguageModel lm,
            TextGenerator generator,
            ChatTemplate template,
            List<ChatTemplate.Message> messages,
            GenerationOptions options) {
        int[] prompt = lm.tokenizer().encode(template.render(messages, true), false);
        TextGenerator.Result result;
        try {
            result = generator.generate(prompt, options, piece -> {
                if (!common.json) {
                    System.out.print(piece);
                    System.out.flush();
                }
            });
        } catch (FormatException e) {
            // A conversation that no longer fits is no reason to leave it.
            messages.removeLast();
            System.err.println("gosset: " + e.getMessage() + "; /reset starts anew");
            return;
        }
        messages.add(new ChatTemplate.Message("assistant", result.text().strip()));
        if (common.json) {
            common.printJson(GenerateCommand.fields(result, options, lm.tokenizer()));
        } else {
            System.out.println();
            System.err.println(GenerateCommand.summary(result));
        }
    }
}
