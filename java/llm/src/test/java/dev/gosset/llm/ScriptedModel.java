package dev.gosset.llm;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gosset.core.parallel.ThreadTeam;
import dev.gosset.llm.cpu.StorageOptions;
import dev.gosset.llm.device.Batch;
import dev.gosset.llm.device.Device;
import dev.gosset.llm.device.DeviceBackend;
import dev.gosset.llm.device.LoadedModel;
import dev.gosset.llm.model.Model;
import dev.gosset.llm.plan.ModelConfig;
import dev.gosset.llm.sampling.Sampler;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;

/**
 * A model that says what a test wants, under the real tokenizer, template, sampler and engine: its logits leave no doubt of the next
 * byte of the text that {@link #answers} gives for the prompt. It is a backend of the kind {@code scripted}, which the module of the test
 * has to name among its services.
 */
public final class ScriptedModel implements DeviceBackend {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int FIRST_BYTE = 3;
    private static final int END = 1;
    private static final SyntheticCheckpoint.Shape SHAPE =
            new SyntheticCheckpoint.Shape(64, 64, 1, 2, 2, FIRST_BYTE + 256);

    /** What follows a prompt, told with its special tokens. */
    private static volatile Function<String, String> answers = prompt -> "";

    private static final AtomicInteger TOGETHER = new AtomicInteger();
    private static final AtomicInteger MOST_TOGETHER = new AtomicInteger();

    private static volatile Duration pace = Duration.ZERO;

    /** What is said from now on. */
    public static void answer(Function<String, String> script) {
        answers = script;
    }

    /** How long a step takes from now on. */
    public static void pace(Duration step) {
        pace = step;
    }

    /** Sequences that run now. */
    public static int together() {
        return TOGETHER.get();
    }

    /** The most sequences of any step. */
    public static int mostTogether() {
        return MOST_TOGETHER.get();
    }

    public static void forgetMost() {
        MOST_TOGETHER.set(0);
    }

    /**
     * Writes and opens such a model: a token for each byte, and {@code <s>}, {@code </s>} and {@code <|turn|>}.
     *
     * @param template for chats, null for none
     */
    public static LanguageModel open(Path directory, String template) throws IOException {
        if (!Files.exists(directory)) {
            SyntheticCheckpoint checkpoint = new SyntheticCheckpoint(SHAPE, 2, 1);
            checkpoint.config.put("max_position_embeddings", 4096).put("bos_token_id", 0);
            checkpoint.config.put("eos_token_id", END);
            checkpoint.writeWithoutTokenizer(directory);
            JSON.writeValue(directory.resolve("tokenizer.json").toFile(), tokenizer());
            ObjectNode config = JSON.createObjectNode().put("eos_token", "</s>").put("chat_template", template);
            JSON.writeValue(directory.resolve("tokenizer_config.json").toFile(), config);
        }
        return LanguageModel.open(directory, Device.parse("scripted"));
    }

    private static ObjectNode tokenizer() {
        ObjectNode root = JSON.createObjectNode().put("version", "1.0");
        for (String part : List.of("pre_tokenizer", "decoder")) {
            root.putObject(part)
                    .put("type", "ByteLevel")
                    .put("add_prefix_space", false)
                    .put("trim_offsets", false)
                    .put("use_regex", false);
        }
        ObjectNode model = root.putObject("model").put("type", "BPE");
        model.putArray("merges");
        ObjectNode vocabulary = model.putObject("vocab");
        var added = root.putArray("added_tokens");
        for (String special : List.of("<s>", "</s>", "<|turn|>")) {
            added.addObject()
                    .put("id", vocabulary.size())
                    .put("content", special)
                    .put("single_word", false)
                    .put("lstrip", false)
                    .put("rstrip", false)
                    .put("normalized", false)
                    .put("special", true);
            vocabulary.put(special, vocabulary.size());
        }
        int beyond = 256;
        for (int b = 0; b < 256; b++) {
            boolean visible = b > ' ' && b < 127 || b > 160 && b != 173;
            vocabulary.put(String.valueOf((char) (visible ? b : beyond++)), FIRST_BYTE + b);
        }
        return root;
    }

    @Override
    public String name() {
        return "scripted";
    }

    @Override
    public String description() {
        return "says what a test wants";
    }

    @Override
    public boolean isUsable() {
        return true;
    }

    @Override
    public int devices() {
        return 1;
    }

    @Override
    public double copyBandwidth(int index) {
        throw new UnsupportedOperationException();
    }

    @Override
    public LoadedModel load(Model model, int index, StorageOptions storage, ThreadTeam team) {
        ModelConfig config = model.config();
        return new LoadedModel() {
            @Override
            public ModelConfig config() {
                return config;
            }

            @Override
            public Device device() {
                return new Device(name(), index);
            }

            @Override
            public ThreadTeam team() {
                return team;
            }

            @Override
            public long peakDeviceBytes() {
                return 0;
            }

            @Override
            public Batch batch(int sequences, int context, long cacheBytes) {
                return new Script(sequences, context);
            }

            @Override
            public void logits(int[] tokens, int from, int to, LogitsReader reader) {
                throw new UnsupportedOperationException();
            }

            @Override
            public void close() {}
        };
    }

    private static final class Script implements Batch {
        private final int sequences;
        private final int context;
        private final List<Running> running = new ArrayList<>();

        private static final class Running implements Sequence {
            private final Sampler sampler;
            private final byte[] text;
            private int said;

            Running(Sampler sampler, byte[] text) {
                this.sampler = sampler;
                this.text = text;
            }

            @Override
            public int cachedTokens() {
                return 0;
            }

            Drawn next() {
                float[] logits = new float[SHAPE.vocabulary()];
                int at = said++;
                logits[at < text.length ? FIRST_BYTE + (text[at] & 0xff) : END] = 40;
                try {
                    int token = sampler.next(logits);
                    return new Drawn(this, token, sampler.logProbabilities(), null);
                } catch (RuntimeException e) {
                    return new Drawn(this, -1, null, e);
                }
            }
        }

        Script(int sequences, int context) {
            this.sequences = sequences;
            this.context = context;
        }

        @Override
        public int context() {
            return context;
        }

        @Override
        public Optional<Sequence> admit(int[] prompt, Sampler sampler, int most) {
            if (running.size() == sequences) {
                return Optional.empty();
            }
            byte[] text = new byte[prompt.length];
            StringBuilder told = new StringBuilder();
            int bytes = 0;
            for (int token : prompt) {
                if (token >= FIRST_BYTE) {
                    text[bytes++] = (byte) (token - FIRST_BYTE);
                } else {
                    told.append(new String(text, 0, bytes, StandardCharsets.UTF_8))
                            .append(List.of("<s>", "</s>", "<|turn|>").get(token));
                    bytes = 0;
                }
            }
            told.append(new String(text, 0, bytes, StandardCharsets.UTF_8));
            byte[] answer = answers.apply(told.toString()).getBytes(StandardCharsets.UTF_8);
            Running r = new Running(sampler, answer);
            running.add(r);
            return Optional.of(r);
        }

        @Override
        public List<Drawn> step() {
            try {
                Thread.sleep(pace);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            TOGETHER.set(running.size());
            MOST_TOGETHER.accumulateAndGet(running.size(), Math::max);
            return running.stream().map(Running::next).toList();
        }

        @Override
        public void release(Sequence sequence) {
            running.removeIf(r -> r == sequence);
            TOGETHER.set(running.size());
        }

        @Override
        public int inUse() {
            return running.size();
        }

        @Override
        public int capacity() {
            return sequences;
        }

        @Override
        public void close() {}
    }
}
