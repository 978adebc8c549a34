package dev.gosset.llm;

import dev.gosset.core.FormatException;
import dev.gosset.core.memory.Closing;
import dev.gosset.core.memory.Quoted;
import dev.gosset.core.memory.ReadableFile;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.constraint.Constraint;
import dev.gosset.llm.constraint.Grammar;
import dev.gosset.llm.constraint.Vocabulary;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.cpu.Transformer;
import dev.gosset.llm.device.Device;
import dev.gosset.llm.device.DeviceBackend;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.generate.CpuModel;
import dev.gosset.llm.generate.GenerationConfig;
import dev.gosset.llm.generate.GenerationOptions;
import dev.gosset.llm.generate.TextGenerator;
import dev.gosset.llm.io.JsonFile;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.sampling.Sampling;
import dev.gosset.llm.session.Engine;
import dev.gosset.llm.tokenizer.ChatTemplate;
import dev.gosset.llm.tokenizer.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Consumer;

/**
 * A language model with its tokenizer, ready to generate:
 *
 * {@snippet :
 * try (LanguageModel model = LanguageModel.open(Path.of("my-model-2bit"))) {
 *     model.generate("Once upon a time", System.out::print);
 * }
 * }
 *
 * <p>The weights stay in a memory map of the file. Thread-safe: {@link #generate} and {@link #chat} may be called from several
 * threads and then run together, which gives more text in the same time, and each has the text that it would have alone.
 * Closing lets the step in progress end; what is still being generated fails with "the model is closed".
 */
public final class LanguageModel implements AutoCloseable {
    /** Tokens of prompt and text together, unless a generator is made for more: the cache takes memory for all of them. */
    public static final int DEFAULT_CONTEXT = 4096;

    /** Texts that are generated together, if there is memory. */
    private static final int SEQUENCES = 16;

    private final Model model;
    private final Tokenizer tokenizer;
    private final ThreadTeam team;
    private final boolean ownsTeam;
    private final LoadedModel loaded;
    /** Guards what follows, and the tokenizer until it is closed. */
    private final ReadWriteLock life = new ReentrantReadWriteLock();

    private final List<AutoCloseable> engines = new ArrayList<>();
    private TextGenerator shared;
    private Vocabulary vocabulary;
    private boolean closed;

    private LanguageModel(Model model, LoadedModel loaded, Tokenizer tokenizer, ThreadTeam team, boolean ownsTeam) {
        this.model = model;
        this.loaded = loaded;
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
        return open(directory, Device.CPU);
    }

    /**
     * Opens a model that computes on a device, for instance {@code Device.parse("cuda")}: its weights are copied there. A
     * device needs its backend, such as {@code gosset-cuda-llm}, on the class path.
     *
     * @throws dev.gosset.core.DeviceException where the device cannot be used or its memory is too small
     */
    public static LanguageModel open(Path directory, Device device) {
        ThreadTeam team = ThreadTeam.ofProcessors();
        try {
            return open(directory, null, StorageOptions.defaults(), team, true, device);
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
        return open(directory, tokenizer, StorageOptions.defaults(), team, Device.CPU);
    }

    /**
     * Opens a model that computes on a device: where that is not the processor, its weights are copied there.
     *
     * @param tokenizer a directory with tokenizer.json; null for the model's own
     * @param storage how the head and the key-value caches are kept
     * @throws dev.gosset.core.DeviceException where the device cannot be used or its memory is too small
     */
    public static LanguageModel open(
            Path directory, Path tokenizer, StorageOptions storage, ThreadTeam team, Device device) {
        return open(directory, tokenizer, storage, team, false, device);
    }

    private static LanguageModel open(
            Path directory, Path tokenizer, StorageOptions storage, ThreadTeam team, boolean ownsTeam, Device device) {
        if (tokenizer == null
                && Files.isRegularFile(directory.resolve("config.json"))
                && !ReadableFile.isPresent(directory.resolve("tokenizer.json"))) {
            // Now, rather than after the weights are read.
            String base = JsonFile.read(directory.resolve("config.json"))
                    .node()
                    .path("_name_or_path")
                    .asText("");
            throw new FormatException(directory.resolve("tokenizer.json")
                    + ": no such file, expected the tokenizer; where the model comes without one, name another"
                    + " directory for the tokenizer"
                    + (base.isBlank() ? "" : " (config.json says it was made from " + Quoted.of(base) + ")"));
        }
        DeviceBackend backend = device.isCpu() ? null : DeviceBackend.require(device);
        Model model =
                backend == null ? Model.open(directory, storage, team) : Model.openStored(directory, storage, team);
        Tokenizer words = null;
        try {
            words = Tokenizer.open(tokenizer == null ? directory : tokenizer);
            LoadedModel loaded = backend == null
                    ? new CpuModel(model.transformer(), team)
                    : backend.load(model, device.index(), storage, team);
            return new LanguageModel(model, loaded, words, team, ownsTeam);
        } catch (RuntimeException e) {
            if (words != null) {
                words.close();
            }
            model.close();
            throw e;
        }
    }

    /** Continues a prompt as the model itself says: {@link #sampling}, at most 256 tokens. */
    public TextGenerator.Result generate(String prompt, Consumer<String> sink) {
        return generate(prompt, GenerationOptions.defaults().withSampling(sampling()), sink);
    }

    /**
     * Continues a prompt. The tokenizer adds its special tokens in front.
     *
     * @param sink receives the text piece by piece while it is generated; the prompt is not repeated
     * @throws IllegalStateException where the model is closed, before or meanwhile
     * @throws java.util.concurrent.CancellationException where the calling thread is interrupted
     */
    public TextGenerator.Result generate(String prompt, GenerationOptions options, Consumer<String> sink) {
        return shared().generate(encode(prompt, true), options, sink);
    }

    /**
     * Answers the last message of a conversation, put into the form of the model's own chat template.
     *
     * @throws dev.gosset.core.FormatException where the model has no chat template or the template refuses the messages
     * @throws IllegalStateException where the model is closed, before or meanwhile
     * @throws java.util.concurrent.CancellationException where the calling thread is interrupted
     */
    public TextGenerator.Result chat(
            List<ChatTemplate.Message> messages, GenerationOptions options, Consumer<String> sink) {
        String prompt = tokenizer.chatTemplate().render(messages, true);
        // The template itself writes the special tokens.
        return shared().generate(encode(prompt, false), options, sink);
    }

    private int[] encode(String text, boolean special) {
        life.readLock().lock();
        try {
            requireOpen();
            return tokenizer.encode(text, special);
        } finally {
            life.readLock().unlock();
        }
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the model is closed");
        }
    }

    /** The generator of everybody who asks for none. */
    private TextGenerator shared() {
        life.writeLock().lock();
        try {
            if (shared == null) {
                shared = newGenerator(SEQUENCES, Math.min(DEFAULT_CONTEXT, config().maxPositions()));
            }
            return shared;
        } finally {
            life.writeLock().unlock();
        }
    }

    /**
     * A generator with memory of its own for keys and values of one text. Closed with the model, if not before.
     *
     * @param context the most tokens of prompt and text together
     */
    public TextGenerator newGenerator(int context) {
        return newGenerator(1, context);
    }

    private TextGenerator newGenerator(int sequences, int context) {
        Engine engine = newEngine(sequences, context, 0, Long.MAX_VALUE);
        return new TextGenerator(directory().toString(), engine, tokenizer, endTokens());
    }

    /**
     * An engine with memory of its own, for whoever reads tokens instead of text. Closed with the model, if not before.
     *
     * @param sequences the most that run at a time
     * @param context the most tokens of prompt and text together
     * @param cacheBytes the most memory for keys and values; 0 for as much as is right where the model computes
     * @param mostWaiting tokens that may wait, of prompts and of what they may become
     * @throws dev.gosset.core.GossetException where the memory does not hold one sequence
     */
    public Engine newEngine(int sequences, int context, long cacheBytes, long mostWaiting) {
        life.writeLock().lock();
        try {
            requireOpen();
            Engine engine =
                    new Engine(loaded.batch(sequences, context, cacheBytes), config().vocabularySize(), mostWaiting);
            engines.add(engine);
            return engine;
        } finally {
            life.writeLock().unlock();
        }
    }

    /**
     * Holds generated texts to a grammar: for many of them, each with a {@link Constraint#newMask} of its own.
     *
     * @throws dev.gosset.core.FormatException where this model's tokens cannot be held to any, for they have no bytes of their own
     */
    public Constraint constraint(Grammar grammar) {
        life.writeLock().lock();
        try {
            requireOpen();
            if (vocabulary == null) {
                vocabulary = new Vocabulary(tokenizer, config().vocabularySize(), endTokens());
            }
        } finally {
            life.writeLock().unlock();
        }
        return new Constraint(grammar, vocabulary);
    }

    /**
     * How this model is sampled where nobody says otherwise: what its generation_config.json says (temperature, top_p, top_k,
     * min_p, repetition_penalty; do_sample false is temperature 0), and for what that does not say
     * {@link Sampling#defaults}.
     *
     * @throws FormatException where generation_config.json holds something it must not
     */
    public Sampling sampling() {
        return GenerationConfig.sampling(directory());
    }

    /**
     * The tokens that end a text: those of generation_config.json or config.json, and those of the tokenizer's own files, for
     * either may be stale.
     */
    public Set<Integer> endTokens() {
        Set<Integer> end = new TreeSet<>(tokenizer.endIds());
        end.addAll(config().eosTokenIds());
        end.removeIf(id -> id < 0 || id >= config().vocabularySize());
        return Set.copyOf(end);
    }

    /** The model where it computes: what is evaluated. */
    public LoadedModel loaded() {
        return loaded;
    }

    public ModelConfig config() {
        return model.config();
    }

    /** The model on the processor. */
    public Transformer transformer() {
        return model.transformer();
    }

    public Tokenizer tokenizer() {
        return tokenizer;
    }

    /** The directory that it was opened from. */
    public Path directory() {
        return model.directory().path();
    }

    /** The directory and its weights. */
    public Model model() {
        return model;
    }

    /**
     * Lets the steps in progress end and frees everything; a second call does nothing more. The first exception of a part is thrown when all are
     * closed, with those of the others in it.
     */
    @Override
    public void close() {
        List<AutoCloseable> parts = new ArrayList<>();
        life.writeLock().lock();
        try {
            if (!closed) {
                closed = true;
                parts.addAll(engines);
                parts.addAll(List.of(loaded, tokenizer, model));
                if (ownsTeam) {
                    parts.add(team);
                }
            }
            Closing.all(parts);
        } finally {
            life.writeLock().unlock();
        }
    }
}
