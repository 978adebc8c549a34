package dev.gosset.llm.tokenizer;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import com.fasterxml.jackson.databind.JsonNode;
import dev.gosset.core.FormatException;
import dev.gosset.core.GossetException;
import dev.gosset.core.memory.Quoted;
import dev.gosset.core.memory.ReadableFile;
import dev.gosset.llm.io.JsonFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;

/**
 * The tokenizer of a model directory: Hugging Face's own library behind tokenizer.json. What it puts around a text follows
 * tokenizer.json, as in transformers 5. Where that adds nothing, {@code add_bos_token} and {@code add_eos_token} of
 * tokenizer_config.json count for the tokenizer classes of Llama, whose older files rely on them.
 *
 * <p>Thread-safe until closed.
 */
public final class Tokenizer implements AutoCloseable {
    private static final String FILE = "tokenizer.json";

    /**
     * Tokens that end a text or a turn in the model families there are. A tokenizer that has one of them as a special token
     * ends there, whatever its configuration forgot.
     */
    private static final List<String> ENDS = List.of(
            "</s>",
            "<eos>",
            "<|endoftext|>",
            "<|end_of_text|>",
            "<|eot_id|>",
            "<|eom_id|>",
            "<|eot|>",
            "<|im_end|>",
            "<|end|>",
            "<end_of_turn>",
            "<turn|>",
            "<|end_of_turn|>",
            "<end_of_utterance>",
            "<|return|>",
            "<|call|>",
            "<｜end▁of▁sentence｜>",
            "<EOT>",
            "[EOS]");

    private final Path directory;
    private final HuggingFaceTokenizer library;
    private final int bosId;
    private final int eosId;
    private final Set<Integer> endIds;
    private final int[] prefix;
    private final int[] suffix;
    private final TokenTexts texts;
    private final Function<String, byte[]> bytes;

    private Tokenizer(HuggingFaceTokenizer library, Path directory) {
        this.library = library;
        this.directory = directory;
        this.texts = TokenTexts.read(directory.resolve(FILE));
        this.bytes = DecoderChain.bytesOf(texts);
        Path file = directory.resolve("tokenizer_config.json");
        JsonFile json = JsonFile.readIfPresent(file);
        JsonFile model = JsonFile.readIfPresent(directory.resolve("config.json"));
        JsonFile named = JsonFile.readIfPresent(directory.resolve("special_tokens_map.json"));
        this.bosId = specialId(List.of(json, named), "bos_token", model, "bos_token_id");
        this.eosId = specialId(List.of(json, named), "eos_token", model, "eos_token_id");
        this.endIds = findEndIds();
        int[] bare = raw("a", false);
        int[] full = raw("a", true);
        int before = indexOf(full, bare);
        int[] ownPrefix = before < 0 ? new int[0] : Arrays.copyOf(full, before);
        int[] ownSuffix = before < 0 ? new int[0] : Arrays.copyOfRange(full, before + bare.length, full.length);
        boolean llama = json.text("tokenizer_class", "").contains("Llama");
        this.prefix = ownPrefix.length == 0 && llama ? addition(json, "add_bos_token", bosId) : ownPrefix;
        this.suffix = ownSuffix.length == 0 && llama ? addition(json, "add_eos_token", eosId) : ownSuffix;
    }

    /**
     * Opens the tokenizer of a model directory.
     *
     * @throws FormatException where tokenizer.json is absent or not one
     * @throws dev.gosset.core.GossetException where the native library cannot be loaded
     */
    public static Tokenizer open(Path directory) {
        Path file = directory.resolve(FILE);
        ReadableFile.require(file, "the tokenizer (other tokenizer files are not read)");
        TokenizerFile.check(file);
        NativeTokenizers.load();
        HuggingFaceTokenizer library;
        try {
            library = HuggingFaceTokenizer.newInstance(file, Map.of("truncation", "false", "padding", "false"));
        } catch (IOException e) {
            throw ReadableFile.failure(file, "the tokenizer", e);
        } catch (RuntimeException e) {
            throw new FormatException(file + ": not a tokenizer: " + Quoted.of(String.valueOf(e.getMessage())), e);
        }
        try {
            return new Tokenizer(library, directory);
        } catch (RuntimeException e) {
            library.close();
            throw e;
        }
    }

    private static int[] addition(JsonFile json, String key, int id) {
        return json.flag(key, false) && id >= 0 ? new int[] {id} : new int[0];
    }

    /**
     * The id of the token that tokenizer_config.json or special_tokens_map.json names, else the first that config.json gives,
     * else -1.
     */
    private int specialId(List<JsonFile> names, String key, JsonFile model, String idKey) {
        for (JsonFile json : names) {
            JsonNode node = json.node().path(key);
            JsonNode text = node.isObject() ? node.path("content") : node;
            OptionalInt id = text.isTextual() ? idOf(text.textValue()) : OptionalInt.empty();
            if (id.isPresent()) {
                return id.getAsInt();
            }
        }
        return model.tokenIds(idKey, Integer.MAX_VALUE).stream().findFirst().orElse(-1);
    }

    private Set<Integer> findEndIds() {
        Set<Integer> ids = new TreeSet<>();
        if (eosId >= 0) {
            ids.add(eosId);
        }
        for (String end : ENDS) {
            texts.specialId(end).ifPresent(ids::add);
        }
        OptionalInt end = texts.specialId("<|end|>");
        if (end.isPresent() && texts.specialId("<|return|>").isPresent()) {
            // There one ends a message and the other the turn.
            ids.remove(end.getAsInt());
        }
        return Set.copyOf(ids);
    }

    private static int indexOf(int[] all, int[] part) {
        for (int i = 0; part.length > 0 && i + part.length <= all.length; i++) {
            if (Arrays.equals(all, i, i + part.length, part, 0, part.length)) {
                return i;
            }
        }
        return -1;
    }

    private int[] raw(String text, boolean special) {
        // Half a surrogate pair is no text, and would spoil all other characters that Java writes as pairs.
        String whole = text.codePoints().noneMatch(Tokenizer::isSurrogate)
                ? text
                : text.codePoints()
                        .map(c -> isSurrogate(c) ? 0xFFFD : c)
                        .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
                        .toString();
        try {
            return new PieceEncoder(t -> library.encode(t, special, false)).encode(whole);
        } catch (GossetException e) {
            throw e;
        } catch (RuntimeException e) {
            // The library takes every text: what it complains of is tokenizer.json.
            throw new FormatException(
                    directory.resolve(FILE) + ": cannot tokenize: " + Quoted.of(String.valueOf(e.getMessage())), e);
        }
    }

    private static boolean isSurrogate(int codePoint) {
        return codePoint >= Character.MIN_SURROGATE && codePoint <= Character.MAX_SURROGATE;
    }

    /** The id of the token that begins a text, or -1. */
    public int bosId() {
        return bosId;
    }

    /** The id of the token that ends a text, or -1; a model may have more ({@link #endIds}, {@code ModelConfig.eosTokenIds}). */
    public int eosId() {
        return eosId;
    }

    /** The ids of all tokens that end a text or a turn by what the tokenizer's own files say. */
    public Set<Integer> endIds() {
        return endIds;
    }

    /** Whether {@link #encode(String)} puts the beginning token first. */
    public boolean addsBos() {
        return prefix.length > 0 && prefix[0] == bosId;
    }

    /** The token that {@link #encode(String)} puts first, or -1. */
    public int leadingToken() {
        return prefix.length > 0 ? prefix[0] : -1;
    }

    /** The id of a token of its own, such as {@code <|eot_id|>}; empty where the text is not one token. */
    public OptionalInt idOf(String token) {
        int[] ids = raw(token, false);
        return ids.length == 1 ? OptionalInt.of(ids[0]) : OptionalInt.empty();
    }

    /** The id of a special token; empty where the text is none. */
    public OptionalInt specialId(String token) {
        return texts.specialId(token);
    }

    /** The text of a token as the vocabulary has it, such as {@code ▁the}; null where there is no such token. */
    public String textOf(int id) {
        return texts.text(id);
    }

    /**
     * The bytes that a token adds inside a text, in UTF-8 where they are whole characters.
     *
     * @return null for special tokens, ids that are no token, and where what a token adds depends on its neighbours
     */
    public byte[] bytesOf(int id) {
        String text = texts.text(id);
        return text == null || bytes == null || texts.isSpecial(id) ? null : bytes.apply(text);
    }

    /** The tokens of a text, with what this tokenizer puts around it. */
    public int[] encode(String text) {
        return encode(text, true);
    }

    /**
     * The tokens of a text. Names of special tokens inside the text become those tokens either way.
     *
     * @param special whether to put around it what this tokenizer does, such as the beginning token; false for what a
     *     {@link ChatTemplate} wrote
     */
    public int[] encode(String text, boolean special) {
        int[] ids = raw(text, false);
        if (!special || prefix.length + suffix.length == 0) {
            return ids;
        }
        int[] all = Arrays.copyOf(prefix, prefix.length + ids.length + suffix.length);
        System.arraycopy(ids, 0, all, prefix.length, ids.length);
        System.arraycopy(suffix, 0, all, prefix.length + ids.length, suffix.length);
        return all;
    }

    /**
     * The text of tokens, as the {@code decode} of Hugging Face's tokenizers gives it. Ids that are no token are left out.
     *
     * @param skipSpecial whether special tokens are left out
     */
    public String decode(int[] ids, boolean skipSpecial) {
        Stream stream = stream(skipSpecial);
        for (int id : ids) {
            stream.take(id);
        }
        return stream.end();
    }

    /** A decoder for tokens that come one by one; special tokens are left out. */
    public Stream stream() {
        return stream(true);
    }

    /**
     * A decoder for tokens that come one by one.
     *
     * @param skipSpecial whether special tokens are left out
     */
    public Stream stream(boolean skipSpecial) {
        return new Stream(skipSpecial, Set.of());
    }

    /**
     * A decoder for tokens that come one by one after a prompt; special tokens are left out. Its pieces are what the prompt
     * with these tokens has more than the prompt alone: the first word of an answer has the space before it, or not, as in
     * the whole text.
     */
    public Stream streamAfter(int[] prompt) {
        return streamAfter(prompt, Set.of());
    }

    /**
     * The same with some special tokens, which are not left out.
     *
     * @param shown their ids
     */
    public Stream streamAfter(int[] prompt, Set<Integer> shown) {
        Stream stream = new Stream(true, shown);
        for (int id : prompt) {
            stream.take(id);
        }
        stream.chain.settle();
        return stream;
    }

    /**
     * The model's chat template.
     *
     * @throws FormatException where there is none, or it is malformed
     */
    public ChatTemplate chatTemplate() {
        return ChatTemplate.read(directory);
    }

    /** One line on the native library behind this, loaded if it was not. */
    public static String library() {
        return NativeTokenizers.description();
    }

    @Override
    public void close() {
        library.close();
    }

    /**
     * Decodes tokens as they come: each call gives the text that no later token can change, in whole characters. The pieces
     * together are exactly the text of all tokens. One caller at a time.
     */
    public final class Stream {
        private final boolean skipSpecial;
        private final Set<Integer> shown;
        private final DecoderChain chain = new DecoderChain(texts);

        private Stream(boolean skipSpecial, Set<Integer> shown) {
            this.skipSpecial = skipSpecial;
            this.shown = shown;
        }

        private void take(int token) {
            String text = texts.text(token);
            if (text != null && (!(skipSpecial && texts.isSpecial(token)) || shown.contains(token))) {
                chain.accept(text);
            }
        }

        /** The text that this token completes, perhaps empty. */
        public String next(int token) {
            take(token);
            return chain.take();
        }

        /** What is left when no more tokens come; incomplete characters become U+FFFD. */
        public String end() {
            chain.end();
            return chain.take();
        }
    }
}
