package dev.gosset.llm;

import dev.gosset.core.FormatException;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.generate.TextGenerator;
import dev.gosset.llm.io.JsonFile;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.model.ModelConfig;
import dev.gosset.llm.model.StorageOptions;
import dev.gosset.llm.model.Transformer;
import dev.gosset.llm.tokenizer.ChatTemplate;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/**
 * A language model with its tokenizer, ready to generate:
 *
 * {@snippet :
 * try (LanguageModel model = LanguageModel.open(Path.of("my-model-2bit"))) {
 *     model.generate("Once upon a time", GenerationOptions.defaults(), System.out::print);
 * }
 * }
 *
 * <p>The weights stay in a memory map of the file. One generation runs at a time: {@link #generate} and {@link #chat}
 * wait for each other; for several at once make a {@link TextGenerator} each, with a thread team of its own. Closing
 * unmaps the weights; nothing may run on the model then.
 */
public final class LanguageModel implements AutoCloseable {
    /** Tokens of prompt and text together, unless a generator is made for more: the cache takes memory for all of them. */
    public static final int DEFAULT_CONTEXT = 4096;

    private final Model model;
    private final Tokenizer tokenizer;
    private final ThreadTeam team;
    private final boolean ownsTeam;
    private TextGenerator generator;

    private LanguageModel(Model model, Tokenizer tokenizer, ThreadTeam team, boolean ownsTeam) {
        this.model = model;
        this.tokenizer = tokenizer;
        this.team = team;
        this.ownsTeam = ownsTeam;
    }

    /**
     * Opens a model that computes on all processors.
     *
     * @param directory an original Hugging Face model, a Gosset model or a published QuIP# checkpoint
     * @throws dev.gosset.core.FormatException where the directory holds something it must not
     * @throws dev.gosset.core.UnsupportedModelException where it holds a model that Gosset does not know
     */
    public static LanguageModel open(Path directory) {
        ThreadTeam team = ThreadTeam.ofProcessors();
        try {
            return open(directory, null, StorageOptions.defaults(), team, true);
        } catch (RuntimeException e) {
            team.close();
            throw e;
        }
    }

    /** Opens a model that computes on the given threads; the team stays the caller's. */
    public static LanguageModel open(Path directory, ThreadTeam team) {
        return open(directory, null, team);
    }

    /**
     * Opens a model with the tokenizer of another directory: published QuIP# checkpoints often have none of their own and
     * use that of the model they were made from.
     *
     * @param tokenizer a directory with tokenizer.json; null for the model's own
     */
    public static LanguageModel open(Path directory, Path tokenizer, ThreadTeam team) {
        return open(directory, tokenizer, StorageOptions.defaults(), team);
    }

    /** As {@link #open(Path, Path, ThreadTeam)}, with the head and the key-value caches kept as {@code storage} says. */
    public static LanguageModel open(Path directory, Path tokenizer, StorageOptions storage, ThreadTeam team) {
        return open(directory, tokenizer, storage, team, false);
    }

    private static LanguageModel open(
            Path directory, Path tokenizer, StorageOptions storage, ThreadTeam team, boolean ownsTeam) {
        if (tokenizer == null
                && Files.isRegularFile(directory.resolve("config.json"))
                && !Files.isRegularFile(directory.resolve("tokenizer.json"))) {
            // Now, rather than after the weights are read.
            String base = JsonFile.read(directory.resolve("config.json"))
                    .node()
                    .path("_name_or_path")
                    .asText("");
            throw new FormatException(directory.resolve("tokenizer.json")
                    + ": no such file, expected the tokenizer; where the model comes without one, name a directory that"
                    + " has it with --tokenizer DIR"
                    + (base.isBlank() ? "" : " (config.json says it was made from " + base + ")"));
        }
        Model model = Model.open(directory, storage);
        try {
            return new LanguageModel(model, Tokenizer.open(tokenizer == null ? directory : tokenizer), team, ownsTeam);
        } catch (RuntimeException e) {
            model.close();
            throw e;
        }
    }

    /**
     * Continues a prompt. The tokenizer adds its special tokens in front.
     *
     * @param sink receives the text piece by piece while it is generated; the prompt is not repeated
     */
    public synchronized TextGenerator.Result generate(String prompt, GenerationOptions options, Consumer<String> sink) {
        return generator().generate(tokenizer.encode(prompt, true), options, sink);
    }

    /**
     * Answers the last message of a conversation, put into the form of the model's own chat template.
     *
     * @throws dev.gosset.core.FormatException where the model has no chat template or the template refuses the messages
     */
    public synchronized TextGenerator.Result chat(
            List<ChatTemplate.Message> messages, GenerationOptions options, Consumer<String> sink) {
        String prompt = tokenizer.chatTemplate().render(messages, true);
        // The template itself writes the special tokens.
        return generator().generate(tokenizer.encode(prompt, false), options, sink);
    }

    private TextGenerator generator() {
        if (generator == null) {
            generator = newGenerator(Math.min(DEFAULT_CONTEXT, config().maxPositions()), team);
        }
        return generator;
    }

    /**
     * A generator with a key-value cache of its own.
     *
     * @param context the most tokens of prompt and text together
     */
    public TextGenerator newGenerator(int context, ThreadTeam team) {
        return new TextGenerator(transformer(), tokenizer, Set.copyOf(config().eosTokenIds()), context, team);
    }

    public ModelConfig config() {
        return model.config();
    }

    public Transformer transformer() {
        return model.transformer();
    }

    public Tokenizer tokenizer() {
        return tokenizer;
    }

    /** The directory and its weights. */
    public Model model() {
        return model;
    }

    @Override
    public void close() {
        if (generator != null) {
            generator.close();
        }
        tokenizer.close();
        model.close();
        if (ownsTeam) {
            team.close();
        }
    }
}
