package dev.gosset.llm;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/** The small random models of the test resources, made by src/test/python/make_models.py. */
public final class TinyModels {
    /** All of them: one for each family, attention form, dtype and stretching of the context. */
    public static final List<String> NAMES = List.of(
            "llama",
            "llama3",
            "llama-linear",
            "llama-dynamic",
            "mistral",
            "mistral-yarn",
            "qwen2",
            "qwen3",
            "qwen3-longrope",
            "seed-oss",
            "phi3",
            "ministral",
            "mistral3-vision");

    /** Those with kinds of parts that a device may refuse. */
    public static final List<String> NOT_EVERYWHERE = List.of(
            "smollm3",
            "gemma2",
            "gemma3",
            "gemma3-vision",
            "granite",
            "granite-yarn",
            "phi4-mini",
            "mixtral",
            "qwen2-moe",
            "qwen3-moe",
            "ministral3",
            "olmo2",
            "olmo3",
            "olmoe",
            "granite-moe",
            "glm",
            "glm4",
            "ernie4.5",
            "hunyuan",
            "exaone4",
            "cohere",
            "cohere2",
            "stablelm",
            "stablelm-parallel",
            "starcoder2",
            "nemotron",
            "falcon",
            "falcon-new");

    /** What the processor runs. */
    public static final List<String> ALL =
            Stream.concat(NAMES.stream(), NOT_EVERYWHERE.stream()).toList();

    private static final ObjectMapper JSON = new ObjectMapper();

    private TinyModels() {}

    /** What {@link #directory} has unpacked in this JVM. */
    private static final Map<String, Path> UNPACKED = new HashMap<>();

    /**
     * Where a model lies among the test resources: without a tokenizer, not to be written. In the tests of other modules the
     * resources may be in a jar; then the model is unpacked once, to a directory that goes with the JVM.
     */
    public static synchronized Path directory(String name) {
        URI resource = resource(name);
        return resource.getScheme().equals("jar")
                ? UNPACKED.computeIfAbsent(name, TinyModels::unpack)
                : Path.of(resource);
    }

    private static Path unpack(String name) {
        try {
            Path directory = Files.createTempDirectory("gosset-" + name);
            directory.toFile().deleteOnExit();
            copyFiles(name, directory);
            try (Stream<Path> files = Files.list(directory)) {
                // Files registered after their directory go before it.
                files.forEach(file -> file.toFile().deleteOnExit());
            }
            return directory;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static URI resource(String name) {
        try {
            return Objects.requireNonNull(TinyModels.class.getResource("/models/" + name), name)
                    .toURI();
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Copies a model to a new directory and adds a tokenizer of the words w0, w1, ... for its vocabulary. */
    public static Path copy(String name, Path directory) throws IOException {
        Files.createDirectories(directory);
        copyFiles(name, directory);
        ObjectNode config =
                (ObjectNode) JSON.readTree(directory.resolve("config.json").toFile());
        writeTokenizer(directory, config.findValue("vocab_size").intValue());
        return directory;
    }

    /** A {@link #copy} whose last norm is not a number, and so all of its logits. */
    public static Path copyWithoutNumbers(String name, Path directory) throws IOException {
        Path weights = copy(name, directory).resolve("model.safetensors");
        byte[] bytes = Files.readAllBytes(weights);
        int header = 8 + ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getInt();
        var offsets = JSON.readTree(new String(bytes, 8, header - 8, StandardCharsets.UTF_8))
                .get("model.norm.weight")
                .get("data_offsets");
        // All bits: not a number in any format.
        Arrays.fill(
                bytes,
                header + offsets.get(0).intValue(),
                header + offsets.get(1).intValue(),
                (byte) 0xff);
        Files.write(weights, bytes);
        return directory;
    }

    private static void copyFiles(String name, Path to) throws IOException {
        URI resource = resource(name);
        if (resource.getScheme().equals("jar")) {
            try (FileSystem jar = FileSystems.newFileSystem(resource, Map.of())) {
                copyFiles(jar.getPath("/models/" + name), to);
            }
        } else {
            copyFiles(Path.of(resource), to);
        }
    }

    private static void copyFiles(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.list(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(file.getFileName().toString()));
            }
        }
    }

    static void writeTokenizer(Path directory, int vocabulary) throws IOException {
        ObjectNode root = JSON.createObjectNode();
        root.put("version", "1.0");
        root.putArray("added_tokens");
        root.putObject("pre_tokenizer").put("type", "WhitespaceSplit");
        ObjectNode model = root.putObject("model");
        model.put("type", "WordLevel");
        ObjectNode words = model.putObject("vocab");
        words.put("<unk>", 0).put("<s>", 1).put("</s>", 2);
        for (int i = 3; i < vocabulary; i++) {
            words.put("w" + i, i);
        }
        model.put("unk_token", "<unk>");
        JSON.writeValue(directory.resolve("tokenizer.json").toFile(), root);
    }

    /**
     * Gives a {@link #copy} a tokenizer with a token for each printable ASCII character in the place of its own.
     *
     * @param more a special token, the last of the vocabulary; null for none
     */
    public static void writeCharacters(Path directory, int vocabulary, String more) throws IOException {
        ObjectNode root = JSON.createObjectNode().put("version", "1.0");
        ObjectNode model = root.putObject("model").put("type", "BPE");
        ObjectNode words = model.putObject("vocab");
        for (String special : List.of("<unk>", "<s>", "</s>")) {
            words.put(special, words.size());
        }
        // As the byte-level coding writes spaces and line ends.
        words.put("\u0120", words.size());
        words.put("\u010A", words.size());
        for (char c = '!'; c <= '~'; c++) {
            words.put(String.valueOf(c), words.size());
        }
        while (words.size() < vocabulary) {
            words.put(words.size() == vocabulary - 1 && more != null ? more : "x".repeat(words.size()), words.size());
        }
        for (String special :
                Stream.of("<unk>", "<s>", "</s>", more).filter(Objects::nonNull).toList()) {
            root.withArray("added_tokens")
                    .addObject()
                    .put("id", words.get(special).intValue())
                    .put("content", special)
                    .put("special", true)
                    .put("single_word", false)
                    .put("lstrip", false)
                    .put("rstrip", false)
                    .put("normalized", false);
        }
        model.putArray("merges");
        ObjectNode bytes = JSON.createObjectNode()
                .put("type", "ByteLevel")
                .put("add_prefix_space", false)
                .put("trim_offsets", true)
                .put("use_regex", true);
        root.set("pre_tokenizer", bytes);
        root.set("decoder", bytes);
        JSON.writeValue(directory.resolve("tokenizer.json").toFile(), root);
    }

    /** A text of random words that the tokenizers of {@link #copy} know. */
    public static String text(long seed, int words) {
        SplittableRandom random = new SplittableRandom(seed);
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < words; i++) {
            text.append('w').append(random.nextInt(3, 90)).append(i % 12 == 11 ? "\n" : " ");
        }
        return text.toString();
    }
}
